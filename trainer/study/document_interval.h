// Pure. The interval of a mean difference under drawing new documents, by the method that fits the scores.
#ifndef BREAKEVEN_TRAINER_STUDY_DOCUMENT_INTERVAL_H_
#define BREAKEVEN_TRAINER_STUDY_DOCUMENT_INTERVAL_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "trainer/statistics/proportions.h"
#include "trainer/statistics/scaled_score.h"
#include "trainer/statistics/units.h"
#include "trainer/study/comparison.h"
#include "trainer/study/score_table.h"

namespace breakeven {

// BCa covers as it should from here on (trainer/statistics/README.md).
inline constexpr int64_t kMinBcaDocuments = 200;
inline constexpr int64_t kMinBcaDiffering = 20;

class DocumentInterval {
 public:
  // `differences[i]`: document i's, averaged over replicates, in numerators of the table. `counts`: both arms are single
  // columns of hits and misses. `distribution`: the bootstrap's means of the difference, empty = none.
  DocumentInterval(const ScoreTable& table, std::vector<double> differences,
                   std::optional<PairedCounts> counts, std::vector<double> distribution);

  IntervalMethod method() const { return method_; }  // the one to decide by
  Interval At(double confidence) const { return By(method_, confidence); }
  // kScore only with counts, kScaledScore only for scores in [0, 1], kBca only with a distribution; kStudent always. NaN
  // where the method has nothing to go by.
  Interval By(IntervalMethod method, double confidence) const;
  bool Has(IntervalMethod method) const;

  int64_t num_differing() const { return num_differing_; }
  const ScaledScore& scaled() const { return scaled_; }  // of scores in [0, 1]
  const MeanEstimate& student() const { return student_; }

 private:
  std::optional<PairedCounts> counts_;
  std::vector<double> distribution_;  // ascending
  std::vector<double> jackknife_;
  ScaledScore scaled_;
  MeanEstimate student_;
  bool unit_interval_;
  int64_t num_differing_ = 0;
  IntervalMethod method_ = IntervalMethod::kStudent;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_DOCUMENT_INTERVAL_H_
