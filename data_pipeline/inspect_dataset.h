// What `breakeven inspect DATASET` shows.
#ifndef BREAKEVEN_DATA_PIPELINE_INSPECT_DATASET_H_
#define BREAKEVEN_DATA_PIPELINE_INSPECT_DATASET_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data_pipeline/token_dataset.h"
#include "data_pipeline/tokenizer/tokenizer.h"

namespace breakeven {

// Lengths in tokens; quantiles are elements of the set (nearest rank).
struct LengthStatistics {
  int64_t min = 0;
  int64_t p50 = 0;
  int64_t p90 = 0;
  int64_t p99 = 0;
  int64_t max = 0;
  double mean = 0;
};
// `lengths` must not be empty; it is sorted.
LengthStatistics SummarizeLengths(std::vector<int64_t>& lengths);

struct DatasetDescription {
  struct Bin {  // lengths from `from` to `to`, both included
    int64_t from = 0;
    int64_t to = 0;
    int64_t num_examples = 0;
  };
  std::string path;
  TokenDatasetInfo info;
  int64_t num_examples = 0;
  int64_t num_tokens = 0;
  int64_t num_targets = 0;
  LengthStatistics lengths;
  std::vector<Bin> histogram;  // by powers of two
  // One example, cut where loss begins and ends: (is target, text or ids).
  int64_t example = 0;
  uint64_t example_id = 0;
  std::vector<int64_t> example_tokens;
  std::vector<std::pair<bool, std::string>> example_pieces;
  bool decoded = false;  // false: pieces are lists of ids
};

// `tokenizer` decodes the example; nullptr, or one with another fingerprint than the dataset's: ids
// are shown. Error(kUsage) when there is no such example.
DatasetDescription DescribeDataset(const TokenDataset& dataset, const Tokenizer* tokenizer,
                                   int64_t example = 0);
// For people: targets stand between ⟦ and ⟧, in green on a terminal when `color`.
std::string DescriptionText(const DatasetDescription& description, bool color = false);
std::string DescriptionJson(const DatasetDescription& description);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_INSPECT_DATASET_H_
