// Pure. Least squares whose unknowns cannot be negative: times, latencies and costs per byte.
#ifndef BREAKEVEN_TRAINER_STATISTICS_NONNEGATIVE_H_
#define BREAKEVEN_TRAINER_STATISTICS_NONNEGATIVE_H_

#include <span>
#include <vector>

namespace breakeven {

// The x ≥ 0 that minimises ‖A x − b‖² (Lawson & Hanson, Solving Least Squares Problems, 1974,
// algorithm 23.10). `rows`: those of A, all of one length. Columns are scaled to length 1 first, so
// latencies of microseconds stand beside seconds per byte. A column of zeros, or one that others give
// already, gets 0. No rows: empty.
std::vector<double> NonNegativeLeastSquares(std::span<const std::vector<double>> rows,
                                            std::span<const double> b);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STATISTICS_NONNEGATIVE_H_
