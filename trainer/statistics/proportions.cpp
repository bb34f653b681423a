// Pure.
#include "trainer/statistics/proportions.h"

#include <algorithm>
#include <boost/math/tools/toms748_solve.hpp>
#include <cmath>
#include <limits>
#include <string>

#include "comm/base/error.h"
#include "trainer/statistics/distributions.h"

namespace breakeven {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Probability of a loss, given that P(won) − P(lost) = difference: the root in [0, 1] of the score
// equation.
double ConstrainedLoss(double won, double lost, double n, double difference) {
  const double a = 2 * n;
  const double b = -won - lost + (2 * n - won + lost) * difference;
  const double c = -lost * difference * (1 - difference);
  return (std::sqrt(std::max(0.0, b * b - 4 * a * c)) - b) / (2 * a);
}

// The smallest difference that is not rejected.
double TangoLow(double won, double lost, double n, double critical) {
  const double estimate = (won - lost) / n;
  if (estimate <= -1) return -1;
  // Positive where the difference is rejected as too small.
  const auto excess = [&](double difference) {
    const double loss = ConstrainedLoss(won, lost, n, difference);
    const double variance = std::max(0.0, 2 * loss + difference * (1 - difference));
    return won - lost - n * difference - critical * std::sqrt(n * variance);
  };
  // Without discordant documents the variance vanishes at the estimate itself: begin beside it.
  const double beside = estimate - 1e-12;
  if (excess(beside) >= 0) return estimate;
  std::uintmax_t iterations = 200;
  const auto [low, high] = boost::math::tools::toms748_solve(
      excess, -1.0, beside, boost::math::tools::eps_tolerance<double>(52), iterations);
  return (low + high) / 2;
}

}  // namespace

Interval WilsonInterval(double successes, double trials, double confidence) {
  if (trials <= 0) return {0, 1};
  const double z2 = std::pow(CriticalValue(confidence, kInfinity), 2);
  const double p = successes / trials;
  const double centre = (p + z2 / (2 * trials)) / (1 + z2 / trials);
  const double half =
      std::sqrt(z2 * (p * (1 - p) / trials + z2 / (4 * trials * trials))) / (1 + z2 / trials);
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

PairedCounts CountPairs(std::span<const double> first, std::span<const double> second) {
  BE_CHECK(first.size() == second.size(),
           std::to_string(first.size()) + " and " + std::to_string(second.size()));
  PairedCounts counts;
  for (size_t i = 0; i < first.size(); ++i) {
    BE_CHECK((first[i] == 0 || first[i] == 1) && (second[i] == 0 || second[i] == 1),
             "a score that is neither 0 nor 1");
    int64_t& cell = first[i] == 1 ? (second[i] == 1 ? counts.both : counts.won)
                                  : (second[i] == 1 ? counts.lost : counts.neither);
    ++cell;
  }
  return counts;
}

Interval TangoInterval(double won, double lost, double n, double confidence) {
  if (n <= 0) return {-1, 1};
  BE_CHECK(
      won >= 0 && lost >= 0 && won + lost <= n * (1 + 1e-9),
      std::to_string(won) + " won and " + std::to_string(lost) + " lost of " + std::to_string(n));
  const double critical = CriticalValue(confidence, kInfinity);
  return {TangoLow(won, lost, n, critical), -TangoLow(lost, won, n, critical)};
}

McNemarTest McNemar(int64_t won, int64_t lost) {
  const int64_t discordant = won + lost;
  const int64_t fewer = std::min(won, lost);
  const double point = BinomialPmf(fewer, discordant, 0.5);
  McNemarTest test;
  test.exact = std::min(1.0, 2 * BinomialCdf(fewer, discordant, 0.5));
  // With equally many won and lost the tails overlap in that table, which counts half as well.
  test.mid_p = won == lost ? 1 - point / 2 : test.exact - point;
  return test;
}

}  // namespace breakeven
