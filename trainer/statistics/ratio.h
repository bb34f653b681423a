// Pure. A ratio of two independent estimates: the break-even number of queries is what training cost ÷ what a query saves.
#ifndef BREAKEVEN_TRAINER_STATISTICS_RATIO_H_
#define BREAKEVEN_TRAINER_STATISTICS_RATIO_H_

#include "trainer/statistics/interval.h"
#include "trainer/statistics/units.h"

namespace breakeven {

// first − second of independent estimates; Welch's degrees of freedom.
MeanEstimate IndependentDifference(const MeanEstimate& first, const MeanEstimate& second);

// The ratios q ≥ 0 that Fieller's theorem (1954) does not reject: (cost − q·saving)² ≤ t² (V_cost + q² V_saving). Exact
// for normal estimates; unbounded above (infinity) where the saving may be none. {infinity, infinity}: no q ≥ 0 is left,
// as where a query surely saves nothing.
Interval FiellerInterval(const MeanEstimate& cost, const MeanEstimate& saving, double confidence);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STATISTICS_RATIO_H_
