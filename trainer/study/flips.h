// Pure. Which documents an arm won and lost against a baseline: the evidence behind a difference, to be read.
#ifndef BREAKEVEN_TRAINER_STUDY_FLIPS_H_
#define BREAKEVEN_TRAINER_STUDY_FLIPS_H_

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "trainer/study/score_table.h"
#include "trainer/study/study_records.h"

namespace breakeven {

struct Flip {
  size_t document = 0;  // index into StudyRecords::documents
  std::string id;
  std::string group;
  std::string target;
  std::string arm_prediction;  // of the first replicate whose score differs from the baseline's
  std::string baseline_prediction;
  double arm_score = 0;  // mean over replicates
  double baseline_score = 0;
};

// Largest difference first, then in order of documents. With replicates a document is won when their mean is above the
// baseline's.
struct FlipTable {
  std::vector<Flip> won;
  std::vector<Flip> lost;
};
// `table`: of the same records.
FlipTable FindFlips(const StudyRecords& records, const ScoreTable& table,
                    std::span<const size_t> arm, std::span<const size_t> baseline);

// target → prediction → count, over one arm's documents.
using ConfusionMatrix = std::map<std::string, std::map<std::string, int64_t>>;
ConfusionMatrix Confusion(const StudyRecords& records, size_t arm);

// What both sides said to each target. With more than kMostLabels labels what is no target is one label together, kOtherLabel;
// with more targets than that there is no matrix, and `absent` is a sentence that says so.
inline constexpr size_t kMostLabels = 40;
inline constexpr char kOtherLabel[] = "(anything else)";
struct Confusions {
  ConfusionMatrix arm;
  ConfusionMatrix baseline;
  std::string absent;
};
Confusions FindConfusions(const StudyRecords& records, size_t arm, size_t baseline);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_FLIPS_H_
