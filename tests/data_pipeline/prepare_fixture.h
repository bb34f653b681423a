// A small task and what its splits hold, prepared into a folder that vanishes.
#ifndef BREAKEVEN_TESTS_DATA_PIPELINE_PREPARE_FIXTURE_H_
#define BREAKEVEN_TESTS_DATA_PIPELINE_PREPARE_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "data_pipeline/inspect_dataset.h"
#include "data_pipeline/prepare.h"
#include "data_pipeline/prepare_config.h"
#include "data_pipeline/token_dataset.h"
#include "tests/data_pipeline/dataset_fixture.h"
#include "tests/support/tiny_tokenizer.h"

namespace breakeven {

class PrepareTest : public testing::Test {
 protected:
  PrepareTest() {
    WriteTinyTokenizer(tokenizer_);
    config_.task.name = "qa";
    config_.task.output_type = "generate_until";
    config_.task.doc_to_text = "Q: {{ question }}\nA:";
    config_.task.doc_to_target = "{{ answer }}";
    config_.prompt.end_of_target = "{{ eos_token }}";
    config_.tokenizer = tokenizer_;
    config_.output = folder_ / "out";
    config_.threads = 2;
  }

  void Data(const std::string& split,
            const std::vector<std::pair<std::string, std::string>>& rows) {
    std::string lines;
    for (const auto& [question, answer] : rows) {
      lines += nlohmann::json{{"question", question}, {"answer", answer}}.dump() + "\n";
    }
    RawData(split, lines);
  }
  void RawData(const std::string& split, const std::string& bytes) {
    const std::string path = folder_ / (split + ".jsonl");
    WriteBytes(path, bytes);
    config_.task.splits[split].path = path;
  }

  std::unique_ptr<TokenDataset> Open(const std::string& split) {
    return TokenDataset::Open(config_.output + "/" + split + ".h5");
  }
  // The example as text, targets between ⟦ and ⟧.
  std::string Shown(const TokenDataset& dataset, int64_t example) {
    const auto tokenizer = Tokenizer::Load(tokenizer_);
    std::string text;
    for (const auto& [is_target, piece] :
         DescribeDataset(dataset, tokenizer.get(), example).example_pieces) {
      text += is_target ? "⟦" + piece + "⟧" : piece;
    }
    return text;
  }
  std::string Failure(ErrorKind kind) {
    return MessageOf(kind, [this] { RunPrepare(config_); });
  }

  const TempFolder folder_;
  const std::string tokenizer_ = folder_ / "tokenizer";
  PrepareConfig config_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TESTS_DATA_PIPELINE_PREPARE_FIXTURE_H_
