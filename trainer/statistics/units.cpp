// Pure.
#include "trainer/statistics/units.h"

#include <cmath>
#include <limits>
#include <string>
#include <unordered_map>

#include "comm/base/error.h"
#include "trainer/statistics/distributions.h"

namespace breakeven {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double Total(std::span<const double> values) {
  double total = 0;
  for (double value : values) total += value;
  return total;
}

// Unit of each document.
std::vector<size_t> UnitOfDocument(size_t num_documents, std::span<const uint64_t> groups) {
  std::vector<size_t> unit_of(num_documents);
  std::unordered_map<uint64_t, size_t> units;
  for (size_t i = 0; i < num_documents; ++i) {
    unit_of[i] = groups.empty() ? i : units.try_emplace(groups[i], units.size()).first->second;
  }
  return unit_of;
}

}  // namespace

Units MakeUnits(std::span<const std::vector<double>> systems, std::span<const double> sizes,
                std::span<const uint64_t> groups) {
  const size_t num_documents = systems.empty() ? sizes.size() : systems.front().size();
  BE_CHECK(sizes.empty() || sizes.size() == num_documents, std::to_string(sizes.size()));
  BE_CHECK(groups.empty() || groups.size() == num_documents, std::to_string(groups.size()));
  const std::vector<size_t> unit_of = UnitOfDocument(num_documents, groups);
  size_t num_units = 0;
  for (size_t unit : unit_of) num_units = std::max(num_units, unit + 1);
  Units units{systems.size(), std::vector<double>(num_units * systems.size()),
              std::vector<double>(num_units)};
  for (size_t i = 0; i < num_documents; ++i) {
    units.sizes[unit_of[i]] += sizes.empty() ? 1 : sizes[i];
  }
  for (size_t s = 0; s < systems.size(); ++s) {
    BE_CHECK(systems[s].size() == num_documents, std::to_string(systems[s].size()));
    for (size_t i = 0; i < num_documents; ++i) {
      units.sums[unit_of[i] * systems.size() + s] += systems[s][i];
    }
  }
  return units;
}

Units Combine(const Units& units, std::span<const double> coefficients) {
  BE_CHECK(coefficients.size() == units.num_systems, std::to_string(coefficients.size()));
  Units combined{1, std::vector<double>(units.num_units()), units.sizes};
  for (size_t u = 0; u < units.num_units(); ++u) {
    for (size_t s = 0; s < units.num_systems; ++s) {
      combined.sums[u] += coefficients[s] * units.sum(u, s);
    }
  }
  return combined;
}

std::vector<double> Means(const Units& units) {
  std::vector<double> means(units.num_systems);
  for (size_t u = 0; u < units.num_units(); ++u) {
    for (size_t s = 0; s < units.num_systems; ++s) means[s] += units.sum(u, s);
  }
  const double total = Total(units.sizes);
  for (double& mean : means) mean = total > 0 ? mean / total : kNaN;
  return means;
}

std::vector<double> MeanCovariance(const Units& units, SmallSample correction) {
  const size_t num_systems = units.num_systems;
  std::vector<double> covariance(num_systems * num_systems, units.num_units() < 2 ? kNaN : 0.0);
  if (units.num_units() < 2) return covariance;
  const std::vector<double> means = Means(units);
  const double total = Total(units.sizes);
  const double num_units = static_cast<double>(units.num_units());
  std::vector<double> residuals(num_systems);
  for (size_t u = 0; u < units.num_units(); ++u) {
    const double factor = correction == SmallSample::kPlain ? num_units / (num_units - 1)
                                                            : 1 / (1 - units.sizes[u] / total);
    for (size_t s = 0; s < num_systems; ++s) {
      residuals[s] = (units.sum(u, s) - means[s] * units.sizes[u]) / total;
    }
    for (size_t s = 0; s < num_systems; ++s) {
      for (size_t t = 0; t < num_systems; ++t) {
        covariance[s * num_systems + t] += factor * residuals[s] * residuals[t];
      }
    }
  }
  return covariance;
}

double LeverageDegrees(const Units& units) {
  if (units.num_units() < 2) return kNaN;
  // With shares h and a = h²/(1−h), the matrix whose trace and square give the degrees has h on its
  // diagonal and √(aᵢaⱼ) off it (both over n).
  const double total = Total(units.sizes);
  double shares_squared = 0;
  double sum = 0;
  double sum_squared = 0;
  for (double size : units.sizes) {
    const double share = size / total;
    const double a = share * share / (1 - share);
    shares_squared += share * share;
    sum += a;
    sum_squared += a * a;
  }
  return 1 / (shares_squared + sum * sum - sum_squared);
}

MeanEstimate EstimateMean(const Units& units, SmallSample correction) {
  BE_CHECK(units.num_systems == 1, std::to_string(units.num_systems));
  const double degrees = correction == SmallSample::kPlain
                             ? static_cast<double>(units.num_units()) - 1
                             : LeverageDegrees(units);
  return {Means(units).front(), std::sqrt(MeanCovariance(units, correction).front()), degrees};
}

Interval StudentInterval(const MeanEstimate& estimate, double confidence) {
  if (!(estimate.degrees > 0) || std::isnan(estimate.standard_error)) return {kNaN, kNaN};
  const double half = CriticalValue(confidence, estimate.degrees) * estimate.standard_error;
  return {estimate.value - half, estimate.value + half};
}

double StudentPValue(const MeanEstimate& estimate, double null) {
  if (!(estimate.degrees > 0) || std::isnan(estimate.standard_error)) return kNaN;
  const double distance = estimate.value - null;
  if (estimate.standard_error == 0) return distance == 0 ? 1 : 0;
  return StudentTwoSided(distance / estimate.standard_error, estimate.degrees);
}

double DesignEffect(std::span<const double> values, std::span<const double> sizes,
                    std::span<const uint64_t> groups) {
  const std::vector<double> column(values.begin(), values.end());
  const std::span<const std::vector<double>> systems(&column, 1);
  const auto variance = [&](const Units& units) {
    return MeanCovariance(units, SmallSample::kLeverage).front();
  };
  return variance(MakeUnits(systems, sizes, groups)) / variance(MakeUnits(systems, sizes));
}

}  // namespace breakeven
