#include "data_pipeline/tokenizer/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "comm/base/utf8.h"
#include "data_pipeline/tokenizer/normalizer.h"

namespace breakeven {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Words(const PreTokenizer& pre_tokenizer, const std::string& text) {
  PreTokenizer::Scratch scratch;
  std::vector<std::string> words;
  pre_tokenizer.ForEachWord(text, &scratch,
                            [&](std::string_view word) { words.emplace_back(word); });
  return words;
}

std::vector<std::string> SplitWords(SplitBehavior behavior, bool invert, const std::string& text) {
  PreTokenizer pre_tokenizer;
  pre_tokenizer.AddSplit("-", behavior, invert);
  pre_tokenizer.AddByteLevel(false, false);
  return Words(pre_tokenizer, text);
}

// The examples of the `tokenizers` documentation, "the-final--countdown" split on "-".
TEST(PreTokenizer, SplitBehaviors) {
  const std::string text = "the-final--countdown";
  EXPECT_THAT(SplitWords(SplitBehavior::kRemoved, false, text),
              ElementsAre("the", "final", "countdown"));
  EXPECT_THAT(SplitWords(SplitBehavior::kIsolated, false, text),
              ElementsAre("the", "-", "final", "-", "-", "countdown"));
  EXPECT_THAT(SplitWords(SplitBehavior::kMergedWithPrevious, false, text),
              ElementsAre("the-", "final-", "-", "countdown"));
  EXPECT_THAT(SplitWords(SplitBehavior::kMergedWithNext, false, text),
              ElementsAre("the", "-final", "-", "-countdown"));
  EXPECT_THAT(SplitWords(SplitBehavior::kContiguous, false, text),
              ElementsAre("the", "-", "final", "--", "countdown"));
  EXPECT_THAT(SplitWords(SplitBehavior::kRemoved, true, text), ElementsAre("-", "-", "-"));
}

TEST(PreTokenizer, ByteLevelPutsABlankBeforeEachPiece) {
  PreTokenizer plain;
  plain.AddByteLevel(true, true);
  EXPECT_THAT(Words(plain, "a b"), ElementsAre(" a", " b"));
  EXPECT_THAT(Words(plain, " a"), ElementsAre(" a"));
  PreTokenizer digits;
  digits.AddCharacterSplit(kNumeric, SplitBehavior::kIsolated);
  digits.AddByteLevel(true, true);
  EXPECT_THAT(Words(digits, "ab12 c"), ElementsAre(" ab", " 1", " 2", " c"));
}

TEST(PreTokenizer, DigitsOfEveryScript) {
  PreTokenizer pre_tokenizer;
  pre_tokenizer.AddCharacterSplit(kNumeric, SplitBehavior::kIsolated);
  pre_tokenizer.AddByteLevel(false, true);
  EXPECT_THAT(Words(pre_tokenizer, "x12 ٣½"), ElementsAre("x", "1", "2", " ", "٣", "½"));
}

TEST(PreTokenizer, WhitespaceAndPunctuation) {
  PreTokenizer whitespace;
  whitespace.AddWhitespace();
  whitespace.AddByteLevel(false, false);
  EXPECT_THAT(Words(whitespace, " it's  a_b \u3000!? "), ElementsAre("it", "'", "s", "a_b", "!?"));
  EXPECT_THAT(Words(whitespace, "   "), IsEmpty());
  PreTokenizer punctuation;
  punctuation.AddCharacterSplit(kPunctuation, SplitBehavior::kIsolated);
  punctuation.AddByteLevel(false, false);
  EXPECT_THAT(Words(punctuation, "a+b。c"), ElementsAre("a", "+", "b", "。", "c"));
}

TEST(PreTokenizer, StagesFollowOneAnother) {
  PreTokenizer pre_tokenizer;
  pre_tokenizer.AddSplit(kLlama3Pattern, SplitBehavior::kIsolated, false);
  pre_tokenizer.AddSplit("l+", SplitBehavior::kIsolated, false);
  pre_tokenizer.AddByteLevel(false, false);
  EXPECT_THAT(Words(pre_tokenizer, "hello 1234"), ElementsAre("he", "ll", "o", " ", "123", "4"));
}

TEST(Normalizer, StepsInOrder) {
  Normalizer normalizer;
  normalizer.AddForm(NormalizationForm::kNfd);
  normalizer.AddReplace(R"(\p{M}+)", "");
  normalizer.AddPrepend("_");
  EXPECT_EQ(normalizer.Apply("é각"), "_e\u1100\u1161\u11A8");
  EXPECT_EQ(normalizer.Apply(""), "") << "nothing is put before nothing";
}

TEST(Normalizer, FormsStopAtCharactersNewerThanUnicode9) {
  EXPECT_EQ(Normalize("e\u0301\u1161 \u1100\u1161\u11A8 \u212B", NormalizationForm::kNfc),
            "é\u1161 각 Å");
  EXPECT_EQ(Normalize("ﬁ", NormalizationForm::kNfkc), "fi");
  // U+08CA (Unicode 14, a mark): no reordering across it, though its class is above that of U+0323.
  EXPECT_EQ(Normalize("a\u08CA\u0323", NormalizationForm::kNfc), "a\u08CA\u0323");
  EXPECT_EQ(Normalize("\u32FF", NormalizationForm::kNfkc), "\u32FF");
}

TEST(Utf8, ReplacesMaximalSubparts) {
  const auto lossy = [](std::string_view bytes) {
    std::string text;
    AppendUtf8Lossy(bytes, &text);
    return text;
  };
  // Table 3-8 of the Unicode standard.
  EXPECT_EQ(lossy("a\xF1\x80\x80\xE1\x80\xC2"
                  "b\x80"
                  "c\x80\xBF"
                  "d"),
            "a\uFFFD\uFFFD\uFFFD"
            "b\uFFFD"
            "c\uFFFD\uFFFD"
            "d");
  EXPECT_EQ(lossy("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD") << "a surrogate has no subpart";
  EXPECT_EQ(lossy("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(lossy("\xC0\xAF"), "\uFFFD\uFFFD");
  EXPECT_EQ(lossy("12345678é\xE2\x82"), "12345678é\uFFFD");
  EXPECT_EQ(FindInvalidUtf8("12345678é\xE2\x82"), 10u);
  EXPECT_EQ(FindInvalidUtf8("안녕\U0010FFFF"), std::nullopt);
}

}  // namespace
}  // namespace breakeven
