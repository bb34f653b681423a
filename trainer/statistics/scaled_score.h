// Pure. A score interval for the mean difference of scores in [0, 1], also where documents stand in groups or scores lie
// between 0 and 1. Student's t breaks down where few documents differ (43 % coverage at one expected, README.md); this
// does not.
#ifndef BREAKEVEN_TRAINER_STATISTICS_SCALED_SCORE_H_
#define BREAKEVEN_TRAINER_STATISTICS_SCALED_SCORE_H_

#include <cstdint>
#include <span>

#include "trainer/statistics/interval.h"

namespace breakeven {

// Tango's interval on counts divided by how much larger the mean's variance is than that of independent hits and misses
// with the same sums won and lost (Rao & Scott, Biometrics 48:577, 1992, do so for other tests of proportions). Two
// things keep few differences honest: the ratio's quantile is Student's with as many degrees as groups differ (less
// one), and the ratio is bounded by that of groups whose documents are all alike.
struct ScaledScore {
  double won = 0;   // Σ of the positive differences
  double lost = 0;  // Σ of the negative ones, without sign
  double n = 0;
  double ratio = 0;              // variance ratio; NaN: nothing differs, or everything alike
  double bound = 0;              // the ratio with groups all alike; 1 without groups
  double degrees = 0;            // of the groups' variance
  double effective_degrees = 0;  // at least 1
};

// Differences in [−1, 1]; `groups` empty: each document its own.
ScaledScore SummariseDifferences(std::span<const double> differences,
                                 std::span<const uint64_t> groups);

Interval ScaledScoreInterval(const ScaledScore& score, double confidence);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STATISTICS_SCALED_SCORE_H_
