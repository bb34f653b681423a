#include "data_pipeline/tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "comm/base/error.h"
#include "tests/data_pipeline/tokenizer/tiny_tokenizer.h"

namespace breakeven {
namespace {

using Ids = std::vector<int32_t>;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The tiny tokenizer with parts of its file replaced (JSON merge patch).
std::unique_ptr<Tokenizer> Patched(const std::string& patch,
                                   const std::string& config = kTinyConfig) {
  json file = json::parse(TinyTokenizerJson());
  file.merge_patch(json::parse(patch));
  const TokenizerFolder folder(file.dump(), config);
  return Tokenizer::Load(folder.path());
}

TEST(Tokenizer, MergesByRankAndKeepsSpaces) {
  const auto tokenizer = Patched("{}");
  EXPECT_EQ(tokenizer->Encode("hello world"), (Ids{kHello, kSpaceWorld}));
  EXPECT_EQ(tokenizer->Encode("hell lo"), (Ids{kHell, ' ', 'l', 'o'}));
  EXPECT_EQ(tokenizer->Encode("hehello"), (Ids{kHe, kHello}));
  EXPECT_EQ(tokenizer->Encode("lll"), (Ids{kLl, 'l'})) << "of equal ranks the leftmost goes first";
  EXPECT_EQ(tokenizer->Encode("é\n"), (Ids{0xC3, 0xA9, '\n'}));
  EXPECT_EQ(tokenizer->Encode(""), Ids{});
}

TEST(Tokenizer, DecodesBytesAndReplacesIllFormedOnes) {
  const auto tokenizer = Patched("{}");
  EXPECT_EQ(tokenizer->Decode(Ids{kHello, kSpaceWorld, 0xC3, 0xA9}), "hello worldé");
  EXPECT_EQ(tokenizer->Decode(Ids{0xC3, 'a', 0xE2, 0x82, 'b', 0xFF}), "\uFFFDa\uFFFDb\uFFFD");
  EXPECT_EQ(tokenizer->Decode(Ids{kStart, kHello, kEnd, kX}), "<s>hello</s>[X]");
  EXPECT_EQ(tokenizer->Decode(Ids{kStart, kHello, kEnd, kX}, true), "hello[X]");
  EXPECT_EQ(tokenizer->Decode(Ids{}), "");
}

TEST(Tokenizer, FindsAddedTokens) {
  const auto tokenizer = Patched("{}");
  EXPECT_EQ(tokenizer->Encode("<s>hello</s>  \nhello"), (Ids{kStart, kHello, kEnd, kHello}))
      << "</s> strips the white space on its right";
  EXPECT_EQ(tokenizer->Encode("[X] a[X] [X]"), (Ids{kX, ' ', 'a', '[', 'X', ']', ' ', kX}))
      << "[X] stands alone only";
  EXPECT_EQ(tokenizer->Encode("<s"), (Ids{'<', 's'}));
}

TEST(Tokenizer, NamesIdsAndTokens) {
  const auto tokenizer = Patched("{}");
  EXPECT_EQ(tokenizer->vocab_size(), 268);
  EXPECT_EQ(tokenizer->TokenToId("<s>"), kStart);
  EXPECT_EQ(tokenizer->TokenToId("Ġworld"), kSpaceWorld);
  EXPECT_EQ(tokenizer->TokenToId("nothing"), std::nullopt);
  EXPECT_TRUE(tokenizer->IsSpecial(kEnd));
  EXPECT_FALSE(tokenizer->IsSpecial(kX));
  EXPECT_EQ(tokenizer->bos_id(), kStart);
  EXPECT_EQ(tokenizer->eos_id(), kEnd);
  EXPECT_EQ(tokenizer->eos_token(), "</s>");
}

TEST(Tokenizer, RefusesIllFormedTextWithTheByteOffset) {
  const auto tokenizer = Patched("{}");
  for (const auto& [text, offset] :
       std::vector<std::pair<std::string, int>>{{"ab\xFF", 2},
                                                {"\xC3", 0},
                                                {"é\xED\xA0\x80", 2},
                                                {"12345678\xC0\xAF", 8},
                                                {"a\xF4\x90\x80\x80", 1}}) {
    try {
      tokenizer->Encode(text);
      ADD_FAILURE() << "took ill-formed text with the mistake at byte " << offset;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadData);
      EXPECT_THAT(error.what(), HasSubstr("at byte " + std::to_string(offset) + ":"));
    }
  }
}

TEST(Tokenizer, RefusesIdsWithoutToken) {
  const auto tokenizer = Patched("{}");
  for (const int32_t id : {-1, 268, 1 << 30}) {
    EXPECT_THROW(tokenizer->Decode(Ids{id}), Error) << id;
    EXPECT_THROW(tokenizer->IsSpecial(id), Error) << id;
  }
}

TEST(Tokenizer, PutsTheTemplateRoundTheText) {
  const auto tokenizer = Patched(
      R"({"post_processor":{"type":"Sequence","processors":[{"type":"ByteLevel","trim_offsets":true},
    {"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}},
    {"SpecialToken":{"id":"</s>","type_id":0}}],"pair":[],"special_tokens":{"<s>":{"id":"<s>","ids":[265],"tokens":["<s>"]},
    "</s>":{"id":"</s>","ids":[266],"tokens":["</s>"]}}}]}})");
  EXPECT_EQ(tokenizer->Encode("hello"), (Ids{kStart, kHello, kEnd}));
  EXPECT_EQ(tokenizer->Encode(""), (Ids{kStart, kEnd}));
  EXPECT_EQ(tokenizer->Encode("hello", false), Ids{kHello});
}

TEST(Tokenizer, NormalisesBeforeItCuts) {
  const auto tokenizer = Patched(R"({"normalizer":{"type":"NFC"}})");
  EXPECT_EQ(tokenizer->Encode("e\u0301"), (Ids{0xC3, 0xA9}));
}

TEST(Tokenizer, IgnoresMergesWhereTheWordIsAToken) {
  // "hello" is a token, but without the merge of "hell" and "o" only as a whole.
  const std::string merges = R"({"model":{"merges":["h e","l l","he ll"],"ignore_merges":)";
  EXPECT_EQ(Patched(merges + "true}}")->Encode("hello"), Ids{kHello});
  EXPECT_EQ(Patched(merges + "false}}")->Encode("hello"), (Ids{kHell, 'o'}));
  EXPECT_EQ(Patched(merges + "true}}")->Encode("hellox"), (Ids{kHell, 'o', 'x'}));
}

TEST(Tokenizer, UnknownBytes) {
  const std::string no_q = R"({"model":{"vocab":{"q":null,"<s>":265},)";
  EXPECT_EQ(Patched(no_q + R"("unk_token":null}})")->Encode("hqqe"), Ids{kHe})
      << "they vanish, and neighbours meet";
  EXPECT_EQ(Patched(no_q + R"("unk_token":"<s>"}})")->Encode("hqqe"),
            (Ids{'h', kStart, kStart, 'e'}));
  EXPECT_EQ(Patched(no_q + R"("unk_token":"<s>","fuse_unk":true}})")->Encode("hqqe"),
            (Ids{'h', kStart, 'e'}));
}

TEST(Tokenizer, VeryLongWords) {
  const auto tokenizer = Patched("{}");
  std::string text;
  Ids expected;
  for (int i = 0; i < 200'000; ++i) {
    text += "hello";
    expected.push_back(kHello);
  }
  EXPECT_EQ(tokenizer->Encode(text), expected);
  EXPECT_EQ(tokenizer->Encode(std::string(1'000'001, 'l')).size(), 500'001u);
  EXPECT_EQ(tokenizer->Encode(std::string(1'000'000, ' ')).size(), 1'000'000u);
}

TEST(Tokenizer, ThreadsGetTheSameIds) {
  const auto tokenizer = Patched("{}");
  std::vector<std::string> texts;
  for (int i = 0; i < 2000; ++i)
    texts.push_back("hello world " + std::to_string(i * 7919) + " helloworld hell");
  std::vector<Ids> expected;
  for (const std::string& text : texts) expected.push_back(tokenizer->Encode(text));
  std::vector<std::vector<Ids>> seen(4);
  {
    std::vector<std::jthread> threads;
    for (std::vector<Ids>& mine : seen) {
      threads.emplace_back([&] {
        for (const std::string& text : texts) mine.push_back(tokenizer->Encode(text));
      });
    }
  }
  for (size_t i = 0; i < seen.size(); ++i) EXPECT_TRUE(seen[i] == expected) << "thread " << i;
}

TEST(Tokenizer, FingerprintFollowsWhatDecidesAboutIds) {
  const std::string base = Patched("{}")->fingerprint();
  EXPECT_EQ(base.size(), 16u);
  const TokenizerFolder folder(TinyTokenizerJson(), kTinyConfig);
  EXPECT_EQ(TokenizerFingerprint(folder.path()), base) << "without an encoder";
  EXPECT_EQ(Patched(R"({"truncation":{"max_length":5}})")->fingerprint(), base)
      << "truncation is the caller's";
  json strings = json::parse(TinyTokenizerJson());
  for (json& merge : strings["model"]["merges"]) {
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  }
  EXPECT_EQ(Patched(strings.dump())->fingerprint(), base) << "two ways to write a merge";
  const std::vector<std::pair<const char*, const char*>> changes = {
      {R"({"normalizer":{"type":"NFC"}})", kTinyConfig},
      {R"({"pre_tokenizer":{"add_prefix_space":true}})", kTinyConfig},
      {R"({"model":{"merges":["h e"]}})", kTinyConfig},
      {R"({"model":{"ignore_merges":true}})", kTinyConfig},
      {R"({"added_tokens":[]})", "{}"},
      {"{}", R"({"bos_token":"<s>","eos_token":"<s>"})"}};
  for (const auto& [patch, config] : changes) {
    EXPECT_NE(Patched(patch, config)->fingerprint(), base) << patch << " " << config;
  }
}

TEST(Tokenizer, ReadsConfigAndChatTemplate) {
  const TokenizerFolder folder(TinyTokenizerJson(),
                               R"({"bos_token":null,"eos_token":"<s>","add_bos_token":true,
      "chat_template":[{"name":"tool","template":"no"},{"name":"default","template":"from config"}]})");
  folder.Write("special_tokens_map.json", R"({"bos_token":"</s>"})");
  auto tokenizer = Tokenizer::Load(folder.path());
  EXPECT_EQ(tokenizer->bos_id(), std::nullopt) << "null in the config stands over the map";
  EXPECT_EQ(tokenizer->eos_id(), kStart);
  EXPECT_EQ(tokenizer->chat_template(), "from config");
  EXPECT_EQ(tokenizer->Encode("a"), Ids{'a'});
  EXPECT_EQ(tokenizer->folder(), folder.path());

  folder.Write("chat_template.jinja", "from file");
  folder.Write("tokenizer_config.json", "{}");
  tokenizer = Tokenizer::Load(folder.path());
  EXPECT_EQ(tokenizer->bos_id(), kEnd) << "what the config leaves out comes from the map";
  EXPECT_EQ(tokenizer->chat_template(), "from file");
}

TEST(Tokenizer, NeedsNoConfig) {
  const TokenizerFolder folder(TinyTokenizerJson(), "");
  const auto tokenizer = Tokenizer::Load(folder.path());
  EXPECT_EQ(tokenizer->bos_id(), std::nullopt);
  EXPECT_EQ(tokenizer->chat_template(), "");
}

TEST(Tokenizer, NamedTokensOfTheVocabularyAreCutOut) {
  const auto tokenizer = Patched("{}", R"({"bos_token":"hello"})");
  EXPECT_EQ(tokenizer->Encode("hellohello!"), (Ids{kHello, kHello, '!'}));
  EXPECT_EQ(tokenizer->Encode("xhello"), (Ids{'x', kHello}))
      << "as transformers, which adds it as special";
  EXPECT_TRUE(tokenizer->IsSpecial(kHello));
}

TEST(Tokenizer, WithoutDecoderTokensAreJoinedByBlanks) {
  EXPECT_EQ(Patched(R"({"decoder":null})")->Decode(Ids{kHello, kSpaceWorld}), "hello Ġworld");
}

}  // namespace
}  // namespace breakeven
