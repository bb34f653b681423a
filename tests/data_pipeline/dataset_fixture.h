// Datasets that tests write: deterministic examples of given sizes, folders that vanish.
#ifndef BREAKEVEN_TESTS_DATA_PIPELINE_DATASET_FIXTURE_H_
#define BREAKEVEN_TESTS_DATA_PIPELINE_DATASET_FIXTURE_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "comm/base/error.h"
#include "comm/base/random.h"
#include "data_pipeline/token_dataset.h"
#include "tests/support/temp_folder.h"

namespace breakeven {

inline std::string ReadBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline void WriteBytes(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << bytes;
}

// `count` examples of 1 to `max_length` tokens, with one, two or three target spans.
inline std::vector<TokenExample> MakeExamples(size_t count, size_t max_length, int64_t vocab_size,
                                              uint64_t seed = 7) {
  std::vector<TokenExample> examples(count);
  uint64_t draw = 0;
  const auto next = [&](uint64_t bound) { return RandomBits(seed, 99, draw++) % bound; };
  for (size_t i = 0; i < count; ++i) {
    TokenExample& example = examples[i];
    const size_t length = 1 + next(max_length);
    for (size_t t = 0; t < length; ++t) {
      example.tokens.push_back(static_cast<int32_t>(next(static_cast<uint64_t>(vocab_size))));
    }
    uint32_t begin = static_cast<uint32_t>(next(length));
    for (int span = 0; span < 3 && begin < length; ++span) {
      const auto end = static_cast<uint32_t>(begin + 1 + next(length - begin));
      example.targets.push_back({begin, end});
      begin = end + 1 + static_cast<uint32_t>(next(3));
    }
    example.id = i + 1;
    example.group = RandomBits(seed, 98, i);
  }
  return examples;
}

inline TokenDatasetInfo MakeInfo(int64_t vocab_size) {
  TokenDatasetInfo info;
  info.split = "train";
  info.tokenizer_fingerprint = "0123456789abcdef";
  info.template_fingerprint = "fedcba9876543210";
  info.vocab_size = vocab_size;
  info.config = R"({"prompt":{"doc_to_text":"프롬프트 {{x}}"}})";
  info.source_hashes = {{"train/data.jsonl", "00000000000000aa"}};
  info.counts = {{"documents", 10}, {"dropped_too_long", 2}};
  return info;
}

// Runs `action`, which must throw Error of this kind, and returns the message.
template <typename Action>
std::string MessageOf(ErrorKind kind, const Action& action) {
  try {
    action();
  } catch (const Error& e) {
    EXPECT_EQ(ErrorKindName(e.kind()), ErrorKindName(kind)) << e.what();
    return e.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

inline std::vector<int64_t> ReadExample(const TokenDataset& dataset, int64_t example) {
  std::vector<int64_t> tokens(static_cast<size_t>(dataset.example_tokens(example)));
  dataset.ReadTokens(example, tokens);
  return tokens;
}

}  // namespace breakeven

#endif  // BREAKEVEN_TESTS_DATA_PIPELINE_DATASET_FIXTURE_H_
