// Pure. Curves through scores against numbers of training examples.
#ifndef BREAKEVEN_TRAINER_STATISTICS_CURVE_FIT_H_
#define BREAKEVEN_TRAINER_STATISTICS_CURVE_FIT_H_

#include <optional>
#include <span>
#include <vector>

namespace breakeven {

// The non-decreasing sequence nearest to `values` in weighted least squares (pool adjacent
// violators). Weights > 0; empty: all 1.
std::vector<double> IsotonicFit(std::span<const double> values,
                                std::span<const double> weights = {});

// error(n) = floor + scale · n^−exponent, floor and scale ≥ 0.
struct PowerLaw {
  double floor = 0;
  double scale = 0;
  double exponent = 0;
  double residual = 0;  // root of the weighted mean square residual
  double At(double n) const;
};
// Weighted least squares: for a given exponent the other two are linear, and the exponent is searched over
// [0.02, 4] (variable projection). nullopt with fewer than 3 different sizes; with exactly 3 nothing is left to check
// the form by. Sizes > 0.
std::optional<PowerLaw> FitPowerLaw(std::span<const double> sizes, std::span<const double> errors,
                                    std::span<const double> weights = {});

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STATISTICS_CURVE_FIT_H_
