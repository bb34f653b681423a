// What train must not share with dev and test.
#ifndef BREAKEVEN_DATA_PIPELINE_PREPARE_LEAKS_H_
#define BREAKEVEN_DATA_PIPELINE_PREPARE_LEAKS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data_pipeline/prepare_example.h"

namespace breakeven {

// One split on its way from documents to a file.
struct PreparedSplit {
  std::string name;
  std::string path;  // of the documents
  bool written = false;
  std::vector<PreparedExample> examples;
  // Of all documents of dev and test, the dropped ones too: `eval` asks them all the same.
  std::vector<ComparedText> compared;
  std::map<std::string, int64_t> counts;
};

// Takes out of train what stands in dev or test, by content or by group, and enters the counts of duplicates, shared groups
// and near duplicates (README.md) in every split. Warns where dev and test share something, where train loses groups, and
// of near duplicates; Error(kBadData) where dev or test have more of those in train than the config allows. Takes
// `compared` of the splits.
void CloseLeaks(std::vector<PreparedSplit>& splits, const PrepareConfig& config,
                std::vector<std::string>& warnings);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_PREPARE_LEAKS_H_
