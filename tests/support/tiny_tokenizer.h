// Pure. A tokenizer folder small enough for tests: byte-level BPE with a handful of merges.
#ifndef BREAKEVEN_TESTS_SUPPORT_TINY_TOKENIZER_H_
#define BREAKEVEN_TESTS_SUPPORT_TINY_TOKENIZER_H_

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace breakeven {

namespace tiny_model {

using Json = nlohmann::ordered_json;

inline std::string Utf8(int code) {
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
}

// GPT-2's printable stand-ins for the 256 bytes.
inline std::vector<std::string> ByteAlphabet() {
  std::vector<std::string> letters;
  int next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) ||
                           (byte >= 0xAE && byte <= 0xFF);
    letters.push_back(Utf8(printable ? byte : next++));
  }
  return letters;
}

inline std::string TokenizerJson(bool with_merges) {
  const std::string space = Utf8(256 + 32);  // "Ġ"
  std::vector<std::pair<std::string, std::string>> merges = {
      {"h", "e"}, {space, "t"}, {space + "t", "he"}, {"i", "n"}, {space, "a"}, {"a", "t"}};
  Json vocab = Json::object();
  for (const std::string& letter : ByteAlphabet()) vocab[letter] = vocab.size();
  Json merge_list = Json::array();
  for (const auto& [left, right] : merges) {
    vocab[left + right] = vocab.size();
    if (with_merges) merge_list.push_back({left, right});
  }
  Json added = Json::array();
  for (const char* special : {"<s>", "</s>"}) {
    const size_t id = vocab.size() + added.size();
    added.push_back({{"id", id},
                     {"content", special},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  const Json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", true}};
  const Json tokenizer = {{"version", "1.0"},
                          {"truncation", nullptr},
                          {"padding", nullptr},
                          {"added_tokens", added},
                          {"normalizer", nullptr},
                          {"pre_tokenizer", byte_level},
                          {"post_processor", nullptr},
                          {"decoder", byte_level},
                          {"model",
                           {{"type", "BPE"},
                            {"dropout", nullptr},
                            {"unk_token", nullptr},
                            {"continuing_subword_prefix", nullptr},
                            {"end_of_word_suffix", nullptr},
                            {"fuse_unk", false},
                            {"byte_fallback", false},
                            {"ignore_merges", false},
                            {"vocab", vocab},
                            {"merges", merge_list}}}};
  return tokenizer.dump();
}

inline void Write(const std::string& folder, const std::string& name, const std::string& text) {
  std::ofstream(std::filesystem::path(folder) / name) << text;
}

}  // namespace tiny_model

// tokenizer.json and tokenizer_config.json: ids 0-255 are the bytes in GPT-2's order, 256-261 the
// merges, 262 <s>, 263
// </s>. Without merges texts have more tokens. Specials are not added to texts, as with GPT-2.
inline void WriteTinyTokenizer(const std::string& folder, bool with_merges = true) {
  std::filesystem::create_directories(folder);
  tiny_model::Write(folder, "tokenizer.json", tiny_model::TokenizerJson(with_merges));
  tiny_model::Write(folder, "tokenizer_config.json",
                    R"({"bos_token": "<s>", "eos_token": "</s>"})");
}

}  // namespace breakeven

#endif  // BREAKEVEN_TESTS_SUPPORT_TINY_TOKENIZER_H_
