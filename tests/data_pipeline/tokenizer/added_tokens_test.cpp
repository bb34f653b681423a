#include "data_pipeline/tokenizer/added_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace breakeven {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

AddedToken Token(int32_t id, const std::string& content) {
  AddedToken token;
  token.id = id;
  token.content = content;
  return token;
}

std::vector<std::pair<std::string, int32_t>> Split(const std::vector<AddedToken>& tokens,
                                                   std::string_view text) {
  AddedTokenMatcher matcher;
  for (const AddedToken& token : tokens) matcher.Add(token.content, token);
  std::vector<AddedPiece> pieces;
  matcher.Split(text, &pieces);
  std::vector<std::pair<std::string, int32_t>> found;
  for (const AddedPiece& piece : pieces) found.emplace_back(piece.text, piece.id);
  return found;
}

TEST(AddedTokens, LeftmostThenLongest) {
  const std::vector<AddedToken> tokens = {Token(1, "<a>"), Token(2, "<a>b"), Token(3, "b<a"),
                                          Token(4, "c")};
  EXPECT_THAT(Split(tokens, "x<a>b<a>c"),
              ElementsAre(Pair("x", -1), Pair("<a>b", 2), Pair("<a>", 1), Pair("c", 4)));
  EXPECT_THAT(Split(tokens, "b<a>b"), ElementsAre(Pair("b<a", 3), Pair(">b", -1)));
  EXPECT_THAT(Split(tokens, "<a"), ElementsAre(Pair("<a", -1)));
  EXPECT_THAT(Split({}, "abc"), ElementsAre(Pair("abc", -1)));
}

TEST(AddedTokens, OfEqualPatternsTheFirstCounts) {
  EXPECT_THAT(Split({Token(1, "<a>"), Token(2, "<a>")}, "<a>"), ElementsAre(Pair("<a>", 1)));
}

TEST(AddedTokens, SingleWordTouchesNoWordCharacter) {
  AddedToken token = Token(1, "the");
  token.single_word = true;
  EXPECT_THAT(
      Split({token}, "the other the_ -the- éthe"),
      ElementsAre(Pair("the", 1), Pair(" other the_ -", -1), Pair("the", 1), Pair("- éthe", -1)));
  // A mark and a joiner are word characters to Rust's regex crate, a superscript is not.
  EXPECT_THAT(Split({token}, "the\u0301"), ElementsAre(Pair("the\u0301", -1)));
  EXPECT_THAT(Split({token}, "the\u200D"), ElementsAre(Pair("the\u200D", -1)));
  EXPECT_THAT(Split({token}, "the²"), ElementsAre(Pair("the", 1), Pair("²", -1)));
}

TEST(AddedTokens, ADiscardedMatchStillHidesWhatItCovers) {
  AddedToken word = Token(1, "ab");
  word.single_word = true;
  EXPECT_THAT(Split({word, Token(2, "b")}, "abc b"), ElementsAre(Pair("abc ", -1), Pair("b", 2)));
}

TEST(AddedTokens, StripTakesTheSpacesAlong) {
  AddedToken left = Token(1, "<l>");
  left.lstrip = true;
  AddedToken right = Token(2, "<r>");
  right.rstrip = true;
  EXPECT_THAT(Split({left, right}, "a \u3000\n<l> b<r> \t<l>c"),
              ElementsAre(Pair("a", -1), Pair(" \u3000\n<l>", 1), Pair(" b", -1), Pair("<r> \t", 2),
                          Pair("<l>", 1), Pair("c", -1)));
}

TEST(AddedTokens, ThousandsWithOneBeginning) {
  std::vector<AddedToken> tokens;
  for (int i = 0; i < 3000; ++i) tokens.push_back(Token(i, "<extra_id_" + std::to_string(i) + ">"));
  EXPECT_THAT(Split(tokens, "<extra_id_2999><extra_id_29><extra_id_"),
              ElementsAre(Pair("<extra_id_2999>", 2999), Pair("<extra_id_29>", 29),
                          Pair("<extra_id_", -1)));
}

}  // namespace
}  // namespace breakeven
