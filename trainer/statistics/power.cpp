// Pure.
#include "trainer/statistics/power.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "trainer/statistics/distributions.h"

namespace breakeven {

namespace {
constexpr double kInfinity = std::numeric_limits<double>::infinity();
}

double DetectableDifference(double discordance, double n, const PowerOptions& options) {
  const double z = CriticalValue(options.confidence, kInfinity);
  const double z_power = NormalQuantile(options.power);
  // The larger root of the formula for n, a quadratic in δ. Tiny n: no difference is large enough.
  const double under_root = n + z_power * z_power - z * z;
  if (under_root <= 0) return 1;
  const double root = std::sqrt(discordance) *
                      (z * std::sqrt(n) + z_power * std::sqrt(under_root)) /
                      (n + z_power * z_power);
  return std::min(1.0, root);
}

double DocumentsForDifference(double discordance, double difference, const PowerOptions& options) {
  const double delta = std::abs(difference);
  if (delta == 0) return kInfinity;
  // A difference is no larger than the share of documents that make it.
  const double psi = std::max(discordance, delta);
  const double z = CriticalValue(options.confidence, kInfinity);
  const double z_power = NormalQuantile(options.power);
  const double root =
      (z * std::sqrt(psi) + z_power * std::sqrt(std::max(0.0, psi - delta * delta))) / delta;
  return root * root;
}

double DetectableEffect(double standard_error, double degrees, const PowerOptions& options) {
  return (CriticalValue(options.confidence, degrees) + StudentQuantile(options.power, degrees)) *
         standard_error;
}

}  // namespace breakeven
