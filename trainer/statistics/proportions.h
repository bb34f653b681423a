// Pure. Hits and misses: one proportion, and two systems on the same documents.
#ifndef BREAKEVEN_TRAINER_STATISTICS_PROPORTIONS_H_
#define BREAKEVEN_TRAINER_STATISTICS_PROPORTIONS_H_

#include <cstdint>
#include <span>

#include "trainer/statistics/interval.h"

namespace breakeven {

// Wilson's score interval for successes / trials (Wilson, JASA 1927). No trials: [0, 1].
Interval WilsonInterval(double successes, double trials, double confidence);

// The 2×2 table of two systems on the same documents: won = the first alone is right.
struct PairedCounts {
  int64_t both = 0;
  int64_t won = 0;
  int64_t lost = 0;
  int64_t neither = 0;
  int64_t total() const { return both + won + lost + neither; }
  int64_t discordant() const { return won + lost; }
};
// Scores are 0 or 1; any other value is a programmer's error.
PairedCounts CountPairs(std::span<const double> first, std::span<const double> second);

// Score interval for the difference of paired proportions, (won − lost) / n (Tango, Statistics in
// Medicine 17:891, 1998): the differences that a score test with the variance under the hypothesis
// does not reject. Counts need not be whole, so that a design effect may divide them. n = 0:
// [−1, 1].
Interval TangoInterval(double won, double lost, double n, double confidence);

struct McNemarTest {
  double exact = 1;  // two-sided, binomial on the discordant documents
  double mid_p = 1;  // the same, the observed table counted half (Fagerland et al., 2013)
};
McNemarTest McNemar(int64_t won, int64_t lost);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STATISTICS_PROPORTIONS_H_
