// Pure. A confidence interval.
#ifndef BREAKEVEN_TRAINER_STATISTICS_INTERVAL_H_
#define BREAKEVEN_TRAINER_STATISTICS_INTERVAL_H_

#include <algorithm>

namespace breakeven {

// Closed. An end may be infinite; both are NaN where the data give none.
struct Interval {
  double low = 0;
  double high = 0;
  bool Contains(double value) const { return low <= value && value <= high; }
  // The part that lies between what is possible at all; of NaN, NaN.
  Interval Within(double least, double most) const {
    return {std::clamp(low, least, most), std::clamp(high, least, most)};
  }
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STATISTICS_INTERVAL_H_
