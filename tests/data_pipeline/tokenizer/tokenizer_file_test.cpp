// What is not supported or broken is a named error: file, place, what was found, what is supported.
#include "data_pipeline/tokenizer/tokenizer_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "comm/base/error.h"
#include "data_pipeline/tokenizer/tokenizer.h"
#include "tests/data_pipeline/tokenizer/tiny_tokenizer.h"

namespace breakeven {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string LoadError(const std::string& tokenizer_json, const std::string& config) {
  const TokenizerFolder folder(tokenizer_json, config);
  try {
    Tokenizer::Load(folder.path());
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadData) << error.what();
    return error.what();
  }
  return "loaded";
}

struct Broken {
  const char* name;
  const char* patch;                   // JSON merge patch on the tiny tokenizer
  std::vector<const char*> mentioned;  // what the message must say
};

class BrokenFile : public ::testing::TestWithParam<Broken> {};

TEST_P(BrokenFile, IsANamedError) {
  json file = json::parse(TinyTokenizerJson());
  file.merge_patch(json::parse(GetParam().patch));
  const std::string message = LoadError(file.dump(), "{}");
  EXPECT_THAT(message, HasSubstr("tokenizer.json"));
  for (const char* word : GetParam().mentioned) EXPECT_THAT(message, HasSubstr(word));
}

constexpr const char* kSplit =
    R"({"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","behavior":"Isolated","invert":false,"pattern":)";

INSTANTIATE_TEST_SUITE_P(
    Parts, BrokenFile,
    ::testing::Values(
        Broken{"version", R"({"version":"2.0"})", {"version is \"2.0\"", "\"1.0\""}},
        Broken{"no_model", R"({"model":null})", {"model is missing", "an object"}},
        Broken{"unigram", R"({"model":{"type":"Unigram"}})", {"model.type is \"Unigram\"", "BPE"}},
        Broken{"dropout", R"({"model":{"dropout":0.1}})", {"model.dropout is 0.1"}},
        Broken{"prefix",
               R"({"model":{"continuing_subword_prefix":"##"}})",
               {"model.continuing_subword_prefix is \"##\""}},
        Broken{
            "suffix", R"({"model":{"end_of_word_suffix":"</w>"}})", {"model.end_of_word_suffix"}},
        Broken{"fallback",
               R"({"model":{"byte_fallback":true,"vocab":{"q":null}}})",
               {"model.byte_fallback is true", "256 bytes"}},
        Broken{"unknown",
               R"({"model":{"unk_token":"<none>"}})",
               {"model.unk_token is \"<none>\"", "a token of model.vocab"}},
        Broken{"no_vocab", R"({"model":{"vocab":null}})", {"model.vocab is missing"}},
        Broken{"id_text",
               R"({"model":{"vocab":{"q":"113"}}})",
               {"model.vocab.q is \"113\"", "integer"}},
        Broken{"id_negative", R"({"model":{"vocab":{"q":-1}}})", {"model.vocab.q is -1"}},
        Broken{"id_huge", R"({"model":{"vocab":{"q":2000000000}}})", {"not plausible"}},
        // 67 million places for tokens would take 2.7 GB.
        Broken{"id_far_out", R"({"model":{"vocab":{"q":67108863}}})", {"not plausible"}},
        Broken{"id_twice", R"({"model":{"vocab":{"q":114}}})", {"id 114", "\"q\"", "\"r\""}},
        Broken{"no_merges", R"({"model":{"merges":null}})", {"model.merges is missing"}},
        Broken{
            "merge_shape", R"({"model":{"merges":["h e","a b c"]}})", {"model.merges[1]", "a b c"}},
        Broken{"merge_lists", R"({"model":{"merges":[["h"]]}})", {"model.merges[0]"}},
        Broken{"merge_left", R"({"model":{"merges":["zz e"]}})", {"model.merges[0]", "\"zz\""}},
        Broken{"merge_result", R"({"model":{"merges":["z z"]}})", {"model.merges[0]", "\"zz\""}},
        Broken{"added_id",
               R"({"added_tokens":[{"id":300,"content":"<a>"}]})",
               {"added_tokens[0].id", "300", "265"}},
        Broken{"added_old_id",
               R"({"added_tokens":[{"id":300,"content":"hello"}]})",
               {"added_tokens[0].id", "259"}},
        Broken{"added_twice",
               R"({"added_tokens":[{"id":265,"content":"<a>"},{"id":265,"content":"<a>"}]})",
               {"added twice"}},
        Broken{"added_empty",
               R"({"added_tokens":[{"id":265,"content":""}]})",
               {"added_tokens[0].content"}},
        Broken{"added_flag",
               R"({"added_tokens":[{"id":265,"content":"<a>","lstrip":1}]})",
               {"added_tokens[0].lstrip is 1", "true or false"}},
        Broken{"normalizer",
               R"({"normalizer":{"type":"Lowercase"}})",
               {"normalizer.type is \"Lowercase\"", "NFC"}},
        Broken{
            "nested",
            R"({"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"BertNormalizer"}]}})",
            {"normalizer.normalizers[1].type", "BertNormalizer"}},
        Broken{"no_pre", R"({"pre_tokenizer":null})", {"pre_tokenizer is missing", "ByteLevel"}},
        Broken{"metaspace",
               R"({"pre_tokenizer":{"type":"Metaspace"}})",
               {"pre_tokenizer", "Metaspace", "ByteLevel"}},
        Broken{
            "bytes_first",
            R"({"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"ByteLevel"},{"type":"Digits"}]}})",
            {"pre_tokenizer.pretokenizers[1]", "last"}},
        Broken{
            "script",
            R"({"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"UnicodeScripts"},{"type":"ByteLevel"}]}})",
            {"pre_tokenizer.pretokenizers[0].type", "UnicodeScripts", "Split"}},
        Broken{
            "behavior",
            R"({"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"String":"a"},"behavior":"Sometimes"},{"type":"ByteLevel"}]}})",
            {"behavior is \"Sometimes\"", "MergedWithPrevious"}},
        Broken{"processor",
               R"({"post_processor":{"type":"Strange"}})",
               {"post_processor.type", "TemplateProcessing"}},
        Broken{
            "template_b",
            R"({"post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"B"}}],"special_tokens":{}}})",
            {"post_processor.single[0].Sequence.id", "sequence A"}},
        Broken{
            "template_none",
            R"({"post_processor":{"type":"TemplateProcessing","single":[],"special_tokens":{}}})",
            {"post_processor.single"}},
        Broken{
            "template_name",
            R"({"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<q>"}},{"Sequence":{"id":"A"}}],"special_tokens":{}}})",
            {"post_processor.single[0].SpecialToken.id is \"<q>\"", "special_tokens"}},
        Broken{
            "template_id",
            R"({"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<q>"}},{"Sequence":{"id":"A"}}],"special_tokens":{"<q>":{"id":"<q>","ids":[9000],"tokens":["<q>"]}}}})",
            {"post_processor", "9000"}},
        Broken{"decoder",
               R"({"decoder":{"type":"WordPiece"}})",
               {"decoder.type is \"WordPiece\"", "ByteLevel"}}),
    [](const auto& each) { return std::string(each.param.name); });

TEST(BrokenFile, RegularExpressionsSayWhereTheyStand) {
  for (const auto& [pattern, words] : std::vector<std::pair<std::string, std::vector<const char*>>>{
           {R"([a&&b])", {"an intersection of classes", "byte 2"}},
           {R"(\p{Han})", {"a property other than a general category"}},
           {R"((?m:a))", {"this kind of group"}},
           {R"(a{2}+)", {"quantifier"}},
           {R"((?i:ss))", {"\"ss\" without case"}},
           {R"(a(b)", {"is not valid"}}}) {
    json file = json::parse(TinyTokenizerJson());
    file.merge_patch(
        json::parse(kSplit + json{{"Regex", pattern}}.dump() + R"(},{"type":"ByteLevel"}]}})"));
    const std::string message = LoadError(file.dump(), "{}");
    EXPECT_THAT(message, HasSubstr("tokenizer.json: pre_tokenizer.pretokenizers[0].pattern"))
        << pattern;
    for (const char* word : words) EXPECT_THAT(message, HasSubstr(word)) << pattern;
  }
}

TEST(BrokenFile, JsonMistakesAndMissingFiles) {
  EXPECT_THAT(LoadError("{\"version\": ", "{}"),
              AllOf(HasSubstr("tokenizer.json: not valid JSON"), HasSubstr("line 1")));
  EXPECT_THAT(LoadError("[]", "{}"), HasSubstr("the file is []"));
  EXPECT_THAT(LoadError(TinyTokenizerJson(), "{"),
              HasSubstr("tokenizer_config.json: not valid JSON"));
  try {
    Tokenizer::Load("/nowhere/at/all");
    ADD_FAILURE() << "loaded from nowhere";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadData);
    EXPECT_THAT(error.what(), HasSubstr("/nowhere/at/all/tokenizer.json"));
  }
}

// Printing it in the message would take a call a level, and the stack has an end.
TEST(BrokenFile, NestingWithoutEnd) {
  constexpr size_t kLevels = 300'000;
  const std::string nested = std::string(kLevels, '[') + std::string(kLevels, ']');
  json file = json::parse(TinyTokenizerJson());
  file["version"] = "NESTED";
  std::string text = file.dump();
  text.replace(text.find("\"NESTED\""), 8, nested);
  EXPECT_THAT(LoadError(text, "{}"),
              AllOf(HasSubstr("tokenizer.json"), HasSubstr("nested deeper")));
  EXPECT_THAT(LoadError(TinyTokenizerJson(), R"({"bos_token":)" + nested + "}"),
              AllOf(HasSubstr("tokenizer_config.json"), HasSubstr("nested deeper")));
}

TEST(BrokenFile, ConfigsThatDoNotFit) {
  EXPECT_THAT(LoadError(TinyTokenizerJson(), R"({"pad_token":"[PAD]"})"),
              AllOf(HasSubstr("tokenizer_config.json: pad_token"),
                    HasSubstr("\"[PAD]\" is not in tokenizer.json")));
  EXPECT_THAT(LoadError(TinyTokenizerJson(), R"({"bos_token":7})"),
              HasSubstr("bos_token is 7; supported: a string"));
  EXPECT_THAT(LoadError(TinyTokenizerJson(), R"({"extra_special_tokens":["hello","<new>"]})"),
              HasSubstr("extra_special_tokens[1]"));
  EXPECT_THAT(LoadError(TinyTokenizerJson(),
                        R"({"added_tokens_decoder":{"265":{"content":"<s>","special":false}}})"),
              HasSubstr("added_tokens_decoder.265"));
  EXPECT_THAT(LoadError(TinyTokenizerJson(),
                        R"({"added_tokens_decoder":{"9":{"content":"<s>","special":true}}})"),
              HasSubstr("added_tokens_decoder.9"));
}

TEST(TokenizerFile, OldFilesWithoutATypeOrFlagsLoad) {
  json file = json::parse(TinyTokenizerJson());
  file["model"].erase("type");
  file["model"].erase("byte_fallback");
  file["model"].erase("ignore_merges");
  EXPECT_EQ(LoadError(file.dump(), "{}"), "loaded");
}

TEST(TokenizerFile, ByteFallbackIsTakenWhereItNeverActs) {
  json file = json::parse(TinyTokenizerJson());
  file["model"]["byte_fallback"] = true;
  EXPECT_EQ(LoadError(file.dump(), "{}"), "loaded");
}

}  // namespace
}  // namespace breakeven
