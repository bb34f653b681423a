// A byte-level BPE tokenizer small enough to follow by hand, and a folder to put it in.
#ifndef BREAKEVEN_TESTS_DATA_PIPELINE_TOKENIZER_TINY_TOKENIZER_H_
#define BREAKEVEN_TESTS_DATA_PIPELINE_TOKENIZER_TINY_TOKENIZER_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/temp_folder.h"

namespace breakeven {

// Id of a byte: the byte. Ids of the merges, in order of rank:
inline constexpr int kHe = 256, kLl = 257, kHell = 258, kHello = 259, kSpaceW = 260, kOr = 261,
                     kSpaceWor = 262, kLd = 263, kSpaceWorld = 264;
// Added tokens: two special ones and a plain one.
inline constexpr int kStart = 265, kEnd = 266, kX = 267;

// GPT-2's printable character for a byte, written as JSON.
inline std::string ByteCharacter(int byte) {
  const auto printable = [](int b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  };
  int code = byte;
  if (!printable(byte)) {
    code = 256;
    for (int b = 0; b < byte; ++b) code += printable(b) ? 0 : 1;
  }
  char text[16];
  std::snprintf(text, sizeof text, "\\u%04x", code);
  return text;
}

// Text of tokenizer.json.
inline std::string TinyTokenizerJson() {
  std::string vocab;
  for (int byte = 0; byte < 256; ++byte)
    vocab += "\"" + ByteCharacter(byte) + "\":" + std::to_string(byte) + ",";
  const std::vector<std::pair<std::string, std::string>> merges = {
      {"h", "e"}, {"l", "l"},   {"he", "ll"}, {"hell", "o"}, {"Ġ", "w"},
      {"o", "r"}, {"Ġw", "or"}, {"l", "d"},   {"Ġwor", "ld"}};
  std::string rules;
  int id = kHe;
  for (const auto& [left, right] : merges) {
    vocab += "\"" + left + right + "\":" + std::to_string(id++) + ",";
    rules += "[\"" + left + "\",\"" + right + "\"],";
  }
  vocab.pop_back();
  rules.pop_back();
  return R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[
    {"id":265,"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
    {"id":266,"content":"</s>","single_word":false,"lstrip":false,"rstrip":true,"normalized":false,"special":true},
    {"id":267,"content":"[X]","single_word":true,"lstrip":false,"rstrip":false,"normalized":true,"special":false}],
    "normalizer":null,
    "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},
    "post_processor":null,
    "decoder":{"type":"ByteLevel"},
    "model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,
      "end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":false,
      "vocab":{)" +
         vocab + R"(},"merges":[)" + rules + "]}}";
}

inline constexpr const char* kTinyConfig = R"({"bos_token":"<s>","eos_token":{"content":"</s>"}})";

// A folder that goes with its owner.
class TokenizerFolder {
 public:
  TokenizerFolder(const std::string& tokenizer_json, const std::string& config_json) {
    Write("tokenizer.json", tokenizer_json);
    if (!config_json.empty()) Write("tokenizer_config.json", config_json);
  }
  TokenizerFolder() : TokenizerFolder(TinyTokenizerJson(), kTinyConfig) {}

  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
  }
  const std::string& path() const { return folder_.path(); }

 private:
  const TempFolder folder_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TESTS_DATA_PIPELINE_TOKENIZER_TINY_TOKENIZER_H_
