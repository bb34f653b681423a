// Pure.
#include "trainer/statistics/mean.h"

#include <cmath>
#include <limits>
#include <string>

#include "comm/base/error.h"

namespace breakeven {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double Sum(std::span<const double> values) {
  double sum = 0;
  for (double value : values) sum += value;
  return sum;
}

}  // namespace

Estimate MeanAndStandardError(std::span<const double> values) {
  const double n = static_cast<double>(values.size());
  if (values.empty()) return {kNaN, kNaN};
  const double mean = Sum(values) / n;
  if (values.size() < 2) return {mean, kNaN};
  double squares = 0;
  for (double value : values) squares += (value - mean) * (value - mean);
  return {mean, std::sqrt(squares / (n - 1)) / std::sqrt(n)};
}

Estimate RatioAndStandardError(std::span<const double> numerators,
                               std::span<const double> denominators) {
  BE_CHECK(numerators.size() == denominators.size(),
           std::to_string(numerators.size()) + " and " + std::to_string(denominators.size()));
  const double denominator = Sum(denominators);
  if (numerators.empty() || denominator == 0) return {kNaN, kNaN};
  const double ratio = Sum(numerators) / denominator;
  if (numerators.size() < 2) return {ratio, kNaN};
  double squares = 0;
  for (size_t i = 0; i < numerators.size(); ++i) {
    const double residual = numerators[i] - ratio * denominators[i];
    squares += residual * residual;
  }
  const double n = static_cast<double>(numerators.size());
  return {ratio, std::sqrt(n / (n - 1) * squares) / std::abs(denominator)};
}

}  // namespace breakeven
