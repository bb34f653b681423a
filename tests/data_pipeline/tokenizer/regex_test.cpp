#include "data_pipeline/tokenizer/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "comm/base/error.h"

namespace breakeven {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Matches(std::string_view pattern, std::string_view text) {
  std::vector<Span> spans;
  Regex(pattern).FindAll(text, &spans);
  std::vector<std::string> matches;
  for (const Span& span : spans)
    matches.emplace_back(text.substr(span.begin, span.end - span.begin));
  return matches;
}

TEST(Regex, SpacesAreThoseOfUnicodeNotOfPcre2) {
  EXPECT_THAT(Matches(R"(\s)", "\t \u0085\u00A0\u3000\u180E\u200B"),
              ElementsAre("\t", " ", "\u0085", "\u00A0", "\u3000"));
  EXPECT_THAT(Matches(R"(\S)", "\u180E \u0085"), ElementsAre("\u180E"));
  EXPECT_THAT(Matches(R"([\Sa]+)", "\u180Ex y"), ElementsAre("\u180Ex", "y"));
  EXPECT_THAT(Matches(R"([^\s]+)", "\u180Ex y"), ElementsAre("\u180Ex", "y"));
}

TEST(Regex, CategoriesAreThoseOfUnicode16) {
  // U+A7DC (letter, 16), U+1E4EC (mark, 15), U+10D40 (digit, 16), U+323AF (ideograph, 15).
  EXPECT_THAT(Matches(R"(\p{L}+)", "a\uA7DC\U000323AF."), ElementsAre("a\uA7DC\U000323AF"));
  EXPECT_THAT(Matches(R"([^\p{L}\p{N}]+)", "\uA7DC\U00010D40!\U0001E4EC"),
              ElementsAre("!\U0001E4EC"));
  EXPECT_THAT(Matches(R"(\p{M})", "\U0001E4EC"), ElementsAre("\U0001E4EC"));
  EXPECT_THAT(Matches(R"(\d\P{N})", "\U00010D40a"), ElementsAre("\U00010D40a"));
  EXPECT_THAT(Matches(R"(\p{^L}\p{Lu})", ".\uA7DC"), ElementsAre(".\uA7DC"));
}

TEST(Regex, WordsAreThoseOfOniguruma) {
  EXPECT_THAT(Matches(R"(\w+)", "a_1e\u0301Ⓐ²-b"), ElementsAre("a_1e\u0301Ⓐ²", "b"));
  EXPECT_THAT(Matches(R"([\w]+)", "a²b"), ElementsAre("a", "b"))
      << "a class leaves out the numbers of Latin-1";
}

TEST(Regex, CaseFoldingOfAscii) {
  EXPECT_THAT(Matches(R"((?i:'s|'re))", "'s'S'ſ'RE'rE"),
              ElementsAre("'s", "'S", "'ſ", "'RE", "'rE"));
  EXPECT_THAT(Matches(R"((?i:a)b)", "AbAB"), ElementsAre("Ab"));
}

TEST(Regex, LinesAreRubys) {
  EXPECT_THAT(Matches("^a", "a\na\n"), ElementsAre("a", "a"));
  EXPECT_THAT(Matches("a$", "a\na"), ElementsAre("a", "a"));
  EXPECT_THAT(Matches(".+", "a\r\nb"), ElementsAre("a\r", "b"));
  EXPECT_THAT(Matches("a{,2}b", "aaab"), ElementsAre("aab"));
}

TEST(Regex, EmptyMatchesAreOnigs) {
  std::vector<Span> spans;
  Regex("x*").FindAll("axxé", &spans);
  EXPECT_THAT(spans, ElementsAre(Span{0, 0}, Span{1, 3}, Span{5, 5}));
  Regex("x*").FindAll("", &spans);
  EXPECT_THAT(spans, ElementsAre(Span{0, 0}));
}

TEST(Regex, HyphensInClasses) {
  EXPECT_THAT(Matches(R"([\s-b])", "a-b "), ElementsAre("-", "b", " "));
  EXPECT_THAT(Matches(R"([\x41-\x43])", "ABCD"), ElementsAre("A", "B", "C"));
  EXPECT_THAT(Matches(R"([a\-z])", "a-mz"), ElementsAre("a", "-", "z"));
}

TEST(Regex, EscapedTextMatchesItself) {
  const std::string text = R"(a.b*[c](d)\e{f}^$|? -é#)";
  EXPECT_THAT(Matches(EscapeForRegex(text), "x" + text + "x"), ElementsAre(text));
}

TEST(Regex, RefusesWhatWouldChangeItsMeaning) {
  for (const char* pattern :
       {R"(\h)",          R"(\bx)",         R"(\R)",     R"(\X)",      R"(\G)",
        R"(\p{Greek})",   R"(\pL)",         R"((?x:a))", R"((?i)a)",   R"((?<n>a)\k<n>)",
        R"([[:alpha:]])", R"([a[b]])",      R"([a&&b])", R"([\P{L}])", R"([\W])",
        R"([]a])",        R"(a{2}+)",       R"(a{2}?)",  R"(a{b})",    R"((?i:ß))",
        R"((?i:ff))",     R"((?i:\p{Lu}))", R"(\xFF)",   R"(a\)",      R"(a))",
        R"([a)"}) {
    EXPECT_THROW(Regex{pattern}, Error) << pattern;
  }
  try {
    Regex(R"(ab[[:alpha:]])");
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("\"[:\" at byte 3"));
  }
}

TEST(Regex, AMillionCharactersAreNoTrouble) {
  const std::string spaces(1'000'000, ' ');
  for (const char* pattern :
       {R"(\s+(?!\S)|\s+)", R"(\s*[\r\n]+|\s+(?!\S)|\s+)", R"((?:[^\r\n\p{L}]?\p{L}|\s)+)"}) {
    EXPECT_THAT(Matches(pattern, spaces + "x").size(), testing::Ge(1u)) << pattern;
  }
  std::string letters;
  for (int i = 0; i < 300'000; ++i) letters += "한a";
  EXPECT_THAT(Matches(R"(\p{L}+)", letters), ElementsAre(letters));
}

TEST(Regex, CatastrophicBacktrackingEndsWithAnError) {
  // Two endings, so that no single character is missing from the text and gives the search away.
  EXPECT_THROW(Matches("(?:a+)+[bx]", std::string(60, 'a') + "c"), Error);
}

}  // namespace
}  // namespace breakeven
