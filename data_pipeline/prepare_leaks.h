// What train must not share with dev and test.
#ifndef BREAKEVEN_DATA_PIPELINE_PREPARE_LEAKS_H_
#define BREAKEVEN_DATA_PIPELINE_PREPARE_LEAKS_H_

#include <cstdint>
#include <map>
#include <string>
#include <unordered_set>
#include <vector>

#include "data_pipeline/prepare_example.h"

namespace breakeven {

// One split on its way from documents to a file.
struct PreparedSplit {
  std::string name;
  std::string path;  // of the documents
  bool written = false;
  std::vector<PreparedExample> examples;
  // Of all documents, the dropped ones too: `eval` asks them all the same.
  std::unordered_set<uint64_t> contents;
  std::unordered_set<uint64_t> groups;
  std::map<std::string, int64_t> counts;
};

// Takes out of train what stands in dev or test, by content or by group, and enters the counts of duplicates and shared
// groups (README.md) in every split. Warns where dev and test share something, and where train loses groups.
void CloseLeaks(std::vector<PreparedSplit>& splits, std::vector<std::string>& warnings);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_PREPARE_LEAKS_H_
