// The rules one by one; tests/parity/test_tokenizer.py runs lm_eval's own code beside ours on 3,000 pairs.
#include "data_pipeline/tokenizer/encode_pair.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "comm/base/error.h"
#include "tests/data_pipeline/tokenizer/tiny_tokenizer.h"

namespace breakeven {
namespace {

using Ids = std::vector<int32_t>;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<Tokenizer> Tiny(const std::string& config = kTinyConfig, bool with_bos = false) {
  std::string json = TinyTokenizerJson();
  if (with_bos) {
    const std::string from = "\"post_processor\":null";
    json.replace(json.find(from), from.size(),
                 R"("post_processor":{"type":"TemplateProcessing","single":[
        {"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}],"special_tokens":{"<s>":{"id":"<s>","ids":[265],"tokens":["<s>"]}}})");
  }
  const TokenizerFolder folder(json, config);
  return Tokenizer::Load(folder.path());
}

TEST(EncodePair, TrailingBlanksMoveToTheContinuation) {
  const auto tokenizer = Tiny();
  const EncodedPair pair = EncodePair(*tokenizer, "hello ", "world");
  EXPECT_EQ(pair.context, Ids{kHello});
  EXPECT_EQ(pair.continuation, Ids{kSpaceWorld});
  EXPECT_FALSE(pair.boundary_merge);
  // Python's white space: the four separators 1C to 1F count, U+180E and U+200B do not.
  EXPECT_EQ(EncodePair(*tokenizer, "hello\x1C\u3000", "a").context, Ids{kHello});
  EXPECT_EQ(EncodePair(*tokenizer, "hello\u200B", "a").context.size(), 4u);
}

TEST(EncodePair, TheTailOfTheJointEncodingIsScored) {
  // "he" + "llo x": jointly hello, ' ', x; the context alone is one token, so the first token of the tail is the blank.
  const EncodedPair pair = EncodePair(*Tiny(), "he", "llo x");
  EXPECT_EQ(pair.context, Ids{kHe});
  EXPECT_EQ(pair.continuation, (Ids{' ', 'x'}));
  EXPECT_FALSE(pair.boundary_merge);
}

TEST(EncodePair, AMergeThatLeavesNothingIsFlagged) {
  const EncodedPair pair = EncodePair(*Tiny(), "hell", "o");
  EXPECT_TRUE(pair.boundary_merge);
  EXPECT_EQ(pair.context, Ids{kHell});
  EXPECT_EQ(pair.continuation, Ids{'o'});
}

TEST(EncodePair, SpecialTokensComeOnce) {
  const auto tokenizer = Tiny(kTinyConfig, true);
  const EncodedPair plain = EncodePair(*tokenizer, "hello", " world");
  EXPECT_EQ(plain.context, (Ids{kStart, kHello}));
  EXPECT_EQ(plain.continuation, Ids{kSpaceWorld});
  const EncodedPair given = EncodePair(*tokenizer, "<s>hello", " world");
  EXPECT_EQ(given.context, (Ids{kStart, kHello})) << "the text brings its own <s>";
  EXPECT_EQ(given.continuation, Ids{kSpaceWorld});
}

TEST(EncodePair, AnEmptyContextIsThePrefixToken) {
  const EncodedPair plain = EncodePair(*Tiny(), "", "hello");
  EXPECT_EQ(plain.context, Ids{kStart});
  EXPECT_EQ(plain.continuation, Ids{kHello});
  const EncodedPair given = EncodePair(*Tiny(), "", "<s>hello");
  EXPECT_EQ(given.context, Ids{kStart});
  EXPECT_EQ(given.continuation, Ids{kHello}) << "the continuation's own prefix token is not scored";
  EXPECT_EQ(EncodePair(*Tiny(R"({"eos_token":"</s>"})"), "", "hello").context, Ids{kEnd})
      << "no BOS: EOS";
  const EncodedPair blank = EncodePair(*Tiny(), " \n", "world");
  EXPECT_EQ(blank.context, Ids{kStart}) << "nothing is left once the blanks have moved";
  EXPECT_EQ(blank.continuation, (Ids{' ', '\n', 'w', kOr, kLd}));
}

TEST(PrefixId, IsBosElseEos) {
  EXPECT_EQ(PrefixId(*Tiny()), kStart);
  EXPECT_EQ(PrefixId(*Tiny(R"({"eos_token":"</s>"})")), kEnd);
  EXPECT_EQ(PrefixId(*Tiny("{}")), std::nullopt);
}

TEST(EncodePair, SaysWhatIsMissing) {
  const auto message = [](const Tokenizer& tokenizer, const char* context,
                          const char* continuation) -> std::string {
    try {
      EncodePair(tokenizer, context, continuation);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadData);
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(message(*Tiny("{}"), "", "hello"), HasSubstr("bos_token or eos_token"));
  EXPECT_THAT(message(*Tiny(), "hello", ""), HasSubstr("no token to score"));
  EXPECT_THAT(message(*Tiny(), "", "<s>"), HasSubstr("no token to score"));
}

}  // namespace
}  // namespace breakeven
