#include "data_pipeline/tokenizer/python_regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace breakeven {
namespace {

std::string Replace(std::string_view text, const std::string& pattern,
                    const std::string& replacement, int64_t count = 0) {
  return RegexReplace(text, pattern, replacement, count, 1 << 20);
}

TEST(PythonRegex, DoesWhatPythonsReSubDoes) {
  EXPECT_EQ(Replace("a1b22", "\\d+", "#"), "a#b#");
  EXPECT_EQ(Replace("a1b22", "\\d+", "#", 1), "a#b22");
  EXPECT_EQ(Replace("abxd", "x*", "-"), "-a-b--d-");
  EXPECT_EQ(Replace("한글 ab", "\\w", "w"), "ww ww");
  EXPECT_EQ(Replace("John Smith", "(?P<f>\\w+) (\\w+)", "\\2, \\g<f>\\g<1>\\n"),
            "Smith, JohnJohn\n");
  EXPECT_EQ(Replace("ab\n", "b\\Z", "c"), "ab\n");
}

TEST(PythonRegex, FindsWhatPythonsFindallFinds) {
  using ::testing::ElementsAre;
  EXPECT_THAT(PythonRegex("\\d+").FindAll("a1b22"),
              ElementsAre(ElementsAre("1"), ElementsAre("22")));
  EXPECT_THAT(PythonRegex("(-?\\$?\\d{2,})|(x)").FindAll("$12 or x"),
              ElementsAre(ElementsAre("$12", ""), ElementsAre("", "x")));
  EXPECT_THAT(PythonRegex("b*").FindAll("abb"),
              ElementsAre(ElementsAre(""), ElementsAre("bb"), ElementsAre("")));
  EXPECT_THAT(PythonRegex("^a{,2}").FindAll("aaa"), ElementsAre(ElementsAre("aa")));
  EXPECT_TRUE(PythonRegex("서울").FindAll("부산").empty());
}

TEST(PythonRegex, RefusesWhatIsWrongOrEndless) {
  EXPECT_THROW(Replace("a", "(", "x"), RegexError);
  EXPECT_THROW(Replace("a", "a", "\\1"), RegexError);
  EXPECT_THROW(Replace("a", "a", "\\q"), RegexError);
  EXPECT_THROW(Replace("a", "(?P<n>a)", "\\g<m>"), RegexError);
  EXPECT_THROW(Replace(std::string(40, 'a') + "b", "(a+)+$", "x"), RegexError);
  EXPECT_THROW(RegexReplace(std::string(1000, 'a'), "a", std::string(1000, 'b'), 0, 1000),
               RegexError);
}

}  // namespace
}  // namespace breakeven
