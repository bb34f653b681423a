// Pure. A confidence interval.
#ifndef BREAKEVEN_TRAINER_STATISTICS_INTERVAL_H_
#define BREAKEVEN_TRAINER_STATISTICS_INTERVAL_H_

namespace breakeven {

// Closed. An end may be infinite; both are NaN where the data give none.
struct Interval {
  double low = 0;
  double high = 0;
  bool Contains(double value) const { return low <= value && value <= high; }
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STATISTICS_INTERVAL_H_
