// The hand-written scanners against PCRE2 on their own patterns, and against words cut by hand.
#include "data_pipeline/tokenizer/scanner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "comm/base/random.h"
#include "data_pipeline/tokenizer/regex.h"

namespace breakeven {
namespace {

using ::testing::ElementsAre;
using Words = std::vector<std::string>;

Words Scan(Scanner::Kind kind, const std::string& text) {
  const Scanner scanner(kind);
  Words words;
  const char* p = text.data();
  const char* end = p + text.size();
  while (p < end) {
    const char* next = scanner.WordEnd(p, end);
    if (next <= p || next > end) {
      ADD_FAILURE() << "no progress at byte " << p - text.data() << " of "
                    << testing::PrintToString(text);
      break;
    }
    words.emplace_back(p, next);
    p = next;
  }
  return words;
}

Words Match(const Regex& regex, const std::string& text) {
  std::vector<Span> spans;
  regex.FindAll(text, &spans);
  Words words;
  for (const Span& span : spans) words.push_back(text.substr(span.begin, span.end - span.begin));
  return words;
}

TEST(Scanner, CutsLikeGpt2) {
  EXPECT_THAT(Scan(Scanner::Kind::kGpt2, "Hello,  world's  end\n\n x'LL 12ab"),
              ElementsAre("Hello", ",", " ", " world", "'s", " ", " end", "\n\n", " x", "'", "LL",
                          " 12", "ab"));
}

TEST(Scanner, CutsLikeLlama3) {
  EXPECT_THAT(Scan(Scanner::Kind::kLlama3, "I'LL pay 12345$!\r\n\n  (ok)\t\tx"),
              ElementsAre("I", "'LL", " pay", " ", "123", "45", "$!\r\n\n", " ", " (", "ok", ")",
                          "\t", "\tx"));
  EXPECT_THAT(Scan(Scanner::Kind::kQwen2, "a 12 \n b"),
              ElementsAre("a", " ", "1", "2", " \n", " b"));
}

TEST(Scanner, IsFoundByItsExactPatternOnly) {
  EXPECT_EQ(Scanner::Find(kGpt2Pattern), Scanner::Kind::kGpt2);
  EXPECT_EQ(Scanner::Find(kLlama3Pattern), Scanner::Kind::kLlama3);
  EXPECT_EQ(Scanner::Find(kQwen2Pattern), Scanner::Kind::kQwen2);
  EXPECT_EQ(Scanner::Find(R"(\s+)"), std::nullopt);
}

TEST(Scanner, EqualsPcre2OnRandomText) {
  const std::vector<std::string> parts = {
      "a",      "Z",      "é",          "한",         "漢",     "ſ",          "1",
      "٣",      "½",      "Ⅷ",          ".",          "$",      "'",          "'s",
      "'S",     "'ſ",     "'t",         "'M",         "'ll",    "'lL",        "'rE",
      "'ve",    "'d",     " ",          "  ",         "\t",     "\n",         "\r",
      "\r\n",   "\u00A0", "\u3000",     "\u2028",     "\u0085", "\u180E",     "\u200B",
      "\u0301", "👍",      "\U00011DE0", "\U000323AF", "\uA7DC", "\U0001E4EC", std::string(1, '\0'),
      "\x1C",   "\u1680"};
  for (const auto& [kind, pattern] : {std::pair{Scanner::Kind::kGpt2, kGpt2Pattern},
                                      std::pair{Scanner::Kind::kLlama3, kLlama3Pattern},
                                      std::pair{Scanner::Kind::kQwen2, kQwen2Pattern}}) {
    const Regex regex(pattern);
    for (uint64_t round = 0; round < 20'000; ++round) {
      std::string text;
      const uint64_t length = 1 + RandomBits(7, 1, round) % 14;
      for (uint64_t i = 0; i < length; ++i)
        text += parts[RandomBits(7, 2 + round, i) % parts.size()];
      ASSERT_EQ(Scan(kind, text), Match(regex, text))
          << testing::PrintToString(text) << " with " << pattern;
    }
  }
}

}  // namespace
}  // namespace breakeven
