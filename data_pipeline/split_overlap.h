// What two splits share: equal texts, groups, texts that are nearly equal. The one place where `prepare`, `study` and `eval` look.
#ifndef BREAKEVEN_DATA_PIPELINE_SPLIT_OVERLAP_H_
#define BREAKEVEN_DATA_PIPELINE_SPLIT_OVERLAP_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "comm/base/fields.h"
#include "data_pipeline/near_duplicates.h"

namespace breakeven {

struct OverlapConfig {
  double near_similarity = 0.8;  // Jaccard of the shingles from which on; 0 = not looked for
  double max_near_share = 0.05;  // of a split's documents, that may be near one of train
  void VisitFields(FieldVisitor& v);
};

// A document as splits are compared by it.
struct ComparedText {
  uint64_t line = 0;     // in its file
  uint64_t content = 0;  // hash of the normalised text: equal for equal texts
  uint64_t group = 0;    // hash of the group key; 0 = none
  Shingles shingles;
};
// `text`: context and continuation. `near` false: without shingles.
ComparedText CompareBy(std::string_view text, std::string_view group, uint64_t line, bool near);

struct ComparedSplit {
  std::string name;
  std::string path;  // of the documents, for messages
  std::vector<ComparedText> texts;
};

enum class OverlapKind { kText, kGroup, kNear };

// The documents of one split that have a partner in another: lines in the own file and in the other's, by place in the own
// split. The partner is the first; of near ones the nearest.
struct Overlap {
  OverlapKind kind = OverlapKind::kText;
  const ComparedSplit* split = nullptr;
  const ComparedSplit* other = nullptr;
  std::vector<std::pair<uint64_t, uint64_t>> lines;

  double Share() const;  // of the split's documents
};

// Texts, then groups, that two splits share: for every ordered pair of splits, empty ones too. Pointers into `splits`.
std::vector<Overlap> FindShared(const std::vector<ComparedSplit>& splits);
// The same of near duplicates; without those that share text or group. The shingles in `splits` lose what stands in more than
// half of all documents: a template's own words. The same for any number of threads.
std::vector<Overlap> FindNear(std::vector<ComparedSplit>& splits, const OverlapConfig& config,
                              int num_threads);

// "3 of 40 documents of 'test' (test.jsonl) have the text of one in 'train' (train.jsonl), as on lines 4 and 21, 7 and 2": at most
// five pairs.
std::string DescribeOverlap(const Overlap& overlap);

// Error(kBadData) where more than config.max_near_share of the split's documents, and five or more, have a partner in the
// other split.
void RefuseOverlap(const Overlap& overlap, const OverlapConfig& config);

// Pure. What two texts are compared by: lower case (Unicode's full mapping), every run of white space one blank, none at the
// ends. Other spellings of the same text (Unicode's NFC and NFD) count as different.
std::string NormaliseForComparison(std::string_view text);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_SPLIT_OVERLAP_H_
