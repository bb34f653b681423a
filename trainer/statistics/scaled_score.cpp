// Pure.
#include "trainer/statistics/scaled_score.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "trainer/statistics/distributions.h"
#include "trainer/statistics/proportions.h"
#include "trainer/statistics/units.h"

namespace breakeven {
namespace {

double Effective(const Units& units) {
  double sum = 0;
  double squares = 0;
  for (double value : units.sums) {
    sum += std::abs(value);
    squares += value * value;
  }
  return squares > 0 ? sum * sum / squares : 0;
}

Units OneSystem(std::span<const double> values, std::span<const uint64_t> groups) {
  const std::vector<double> column(values.begin(), values.end());
  return MakeUnits(std::span(&column, 1), {}, groups);
}

}  // namespace

ScaledScore SummariseDifferences(std::span<const double> differences,
                                 std::span<const uint64_t> groups) {
  ScaledScore score;
  score.n = static_cast<double>(differences.size());
  for (double difference : differences) {
    (difference > 0 ? score.won : score.lost) += std::abs(difference);
  }
  const Units units = OneSystem(differences, groups);
  for (double size : units.sizes) score.bound += size * size / score.n;
  score.degrees = LeverageDegrees(units);
  score.effective_degrees = std::max(1.0, std::min(score.degrees, Effective(units) - 1));

  // Independent documents first: below that no grouping may go. Of hits and misses its ratio is 1.
  const double mean = (score.won - score.lost) / score.n;
  const double of_hits = ((score.won + score.lost) / score.n - mean * mean) / score.n;
  const double independent =
      MeanCovariance(OneSystem(differences, {}), SmallSample::kLeverage).front();
  const double grouped = MeanCovariance(units, SmallSample::kLeverage).front();
  score.ratio = of_hits > 0 ? std::max(independent, grouped) / of_hits
                            : std::numeric_limits<double>::quiet_NaN();
  return score;
}

Interval ScaledScoreInterval(const ScaledScore& score, double confidence) {
  const double normal = CriticalValue(confidence, std::numeric_limits<double>::infinity());
  const auto widened = [&](double ratio, double degrees) {
    return degrees > 0 ? ratio * std::pow(CriticalValue(confidence, degrees) / normal, 2)
                       : std::numeric_limits<double>::quiet_NaN();
  };
  const double bound = widened(score.bound, score.degrees);
  if (std::isnan(bound)) return {-1, 1};  // a single group says nothing
  const double measured = widened(score.ratio, score.effective_degrees);
  const double ratio = std::isnan(measured) ? bound : std::min(measured, bound);
  return TangoInterval(score.won / ratio, score.lost / ratio, score.n / ratio, confidence);
}

}  // namespace breakeven
