// Pure.
#include "trainer/statistics/ratio.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "trainer/statistics/distributions.h"

namespace breakeven {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double Share(const MeanEstimate& estimate) {
  const double variance = estimate.standard_error * estimate.standard_error;
  return variance > 0 ? variance * variance / estimate.degrees : 0;
}

double PooledDegrees(const MeanEstimate& first, const MeanEstimate& second) {
  const double variance = std::pow(first.standard_error, 2) + std::pow(second.standard_error, 2);
  if (std::isinf(variance)) return 1;
  const double shares = Share(first) + Share(second);
  return shares > 0 ? variance * variance / shares : kInfinity;
}

}  // namespace

MeanEstimate IndependentDifference(const MeanEstimate& first, const MeanEstimate& second) {
  return {first.value - second.value, std::hypot(first.standard_error, second.standard_error),
          PooledDegrees(first, second)};
}

Interval FiellerInterval(const MeanEstimate& cost, const MeanEstimate& saving, double confidence) {
  if (std::isinf(cost.standard_error) || std::isinf(saving.standard_error)) return {0, kInfinity};
  // The scale of the two variances in one t is that of the estimated ratio: Satterthwaite there.
  const double ratio = saving.value > 0 ? std::max(0.0, cost.value / saving.value) : 1;
  const MeanEstimate scaled{0, ratio * saving.standard_error, saving.degrees};
  const double t2 = std::pow(CriticalValue(confidence, PooledDegrees(cost, scaled)), 2);
  const double cost_variance = t2 * std::pow(cost.standard_error, 2);
  const double saving_variance = t2 * std::pow(saving.standard_error, 2);
  // a q² − 2 b q + c ≤ 0
  const double a = saving.value * saving.value - saving_variance;
  const double b = saving.value * cost.value;
  const double c = cost.value * cost.value - cost_variance;
  const double under_root = b * b - a * c;
  if (a > 0) {
    const double root = std::sqrt(std::max(0.0, under_root));
    if (b + root < 0) return saving.value > 0 ? Interval{0, 0} : Interval{kInfinity, kInfinity};
    return {std::max(0.0, (b - root) / a), (b + root) / a};
  }
  if (under_root <= 0) return {0, kInfinity};  // every ratio is possible
  // Two rays: q ≤ one root or q ≥ the other. What the sign of the estimates says is the ray that is kept.
  const double root = std::sqrt(under_root);
  const double upper_ray = std::max((b - root) / a, (b + root) / a);
  return {c <= 0 ? 0.0 : std::max(0.0, upper_ray), kInfinity};
}

}  // namespace breakeven
