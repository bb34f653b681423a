// Pure. Several tests at once.
#ifndef BREAKEVEN_TRAINER_STATISTICS_MULTIPLE_H_
#define BREAKEVEN_TRAINER_STATISTICS_MULTIPLE_H_

#include <span>
#include <vector>

namespace breakeven {

// Holm's step-down p-values (Holm, 1979), in the order given: reject where they are ≤ α, and the chance of any false
// rejection is ≤ α, whatever the dependence. A NaN counts as 1 and stays NaN.
std::vector<double> HolmAdjusted(std::span<const double> p_values);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STATISTICS_MULTIPLE_H_
