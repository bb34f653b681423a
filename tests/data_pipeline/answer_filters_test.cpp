#include "data_pipeline/answer_filters.h"

#include <gtest/gtest.h>

#include "comm/base/error.h"

namespace breakeven {
namespace {

AnswerFilterConfig Regex(const std::string& pattern, int64_t group_select = 0) {
  AnswerFilterConfig config;
  config.function = "regex";
  config.regex_pattern = pattern;
  config.group_select = group_select;
  return config;
}

std::string Apply(const std::vector<AnswerFilterConfig>& steps, const std::string& text,
                  const std::vector<std::string>& choices = {}) {
  const AnswerPipelineConfig config{"p", steps};
  config.Validate("p");
  return AnswerFilters(config).Apply(text, choices);
}

TEST(AnswerFiltersTest, RegexTakesTheMatchThatItIsToldTo) {
  EXPECT_EQ(Apply({Regex("#### (-?[0-9.,]+)")}, "so 3\n#### 42 apples"), "42");
  EXPECT_EQ(Apply({Regex("(-?[$0-9.,]{2,})|(-?[0-9]+)", -1)}, "3 of $40, then 7"), "7");
  EXPECT_EQ(Apply({Regex("x(y)?")}, "nothing"), "[invalid]");
  EXPECT_EQ(Apply({Regex("(a)|(b)", 5)}, "a b"), "[invalid]");
}

TEST(AnswerFiltersTest, StepsFollowEachOther) {
  AnswerFilterConfig strip;
  strip.function = "remove_whitespace";
  AnswerFilterConfig lower;
  lower.function = "lowercase";
  AnswerFilterConfig map;
  map.function = "map";
  map.mapping_dict = {{"ja", "yes"}, {"nein", "no"}};
  map.default_value = "?";
  EXPECT_EQ(Apply({strip, lower, map}, "  JA\n"), "yes");
  EXPECT_EQ(Apply({strip, lower, map}, "doch"), "?");
}

TEST(AnswerFiltersTest, MultiChoiceRegexLooksForLettersThenTextsThenColons) {
  AnswerFilterConfig config;
  config.function = "multi_choice_regex";
  config.regex_pattern = "(\\([A-Z]\\))";
  config.group_select = -1;
  config.ignore_case = true;
  config.ignore_punctuation = true;
  const std::vector<std::string> choices = {"Guilty", "Guilty of Romance", "It's me"};
  EXPECT_EQ(Apply({config}, "(A) or rather (C)", choices), "(C)");
  EXPECT_EQ(Apply({config}, "surely guilty of romance!", choices), "(B)");
  EXPECT_EQ(Apply({config}, "its ME", choices), "(C)");
  EXPECT_EQ(Apply({config}, "answer:  B", choices), "(B)");
  EXPECT_EQ(Apply({config}, "none", choices), "[invalid]");
}

TEST(AnswerFiltersTest, NamesWhatIsWrong) {
  EXPECT_THROW(Apply({Regex("(")}, "x"), Error);
  EXPECT_THROW(Apply({Regex("")}, "x"), Error);
  AnswerFilterConfig first;
  first.function = "take_first";
  EXPECT_THROW(Apply({first, Regex("a")}, "x"), Error);
  EXPECT_EQ(Apply({Regex("a"), first}, "a"), "a");
}

}  // namespace
}  // namespace breakeven
