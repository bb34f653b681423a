// Pure. NAME.index.json: the files of a dataset that is larger than one file.
#ifndef BREAKEVEN_DATA_PIPELINE_TOKEN_DATASET_INDEX_H_
#define BREAKEVEN_DATA_PIPELINE_TOKEN_DATASET_INDEX_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data_pipeline/token_dataset.h"

namespace breakeven {

struct TokenDatasetIndex {
  struct File {
    std::string name;  // in the folder of the index, never a path
    std::string content_hash;
    int64_t num_examples = 0;
    int64_t num_tokens = 0;
    int64_t num_targets = 0;
  };
  TokenDatasetInfo info;  // content_hash: the index's hash of itself
  std::vector<File> files;
};

inline constexpr std::string_view kIndexSuffix = ".index.json";

// The text ends with "index_hash", XXH3-64 of everything before it; sets index.info.content_hash to
// it.
std::string FormatTokenDatasetIndex(TokenDatasetIndex& index);
// Error(kBadData) naming `path`: no JSON, another format, a hash that differs, a name that leads
// out of the folder.
TokenDatasetIndex ParseTokenDatasetIndex(std::string_view text, const std::string& path);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_TOKEN_DATASET_INDEX_H_
