// Pure.
#include "trainer/statistics/bootstrap.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "comm/base/error.h"
#include "comm/base/random.h"
#include "trainer/statistics/distributions.h"

namespace breakeven {
namespace {

// Calls visit(unit) for the units of one resample. A block of the generator gives four draws; mapping 32 bits to a
// range by a multiplication favours no unit by more than num_units / 2³².
template <typename Visit>
void ForEachDraw(size_t num_units, const BootstrapOptions& options, int64_t resample,
                 Visit&& visit) {
  const uint64_t blocks = (num_units + 3) / 4;
  const uint64_t first = static_cast<uint64_t>(resample) * blocks;
  for (uint64_t block = 0; block < blocks; ++block) {
    const std::array<uint32_t, 4> bits =
        Philox(options.seed, first + block, static_cast<uint64_t>(RandomStream::kBootstrap));
    const size_t count = std::min<size_t>(4, num_units - 4 * block);
    for (size_t i = 0; i < count; ++i) visit((uint64_t{bits[i]} * num_units) >> 32);
  }
}

}  // namespace

ResampledMeans BootstrapMeans(const Units& units, const BootstrapOptions& options) {
  const size_t num_systems = units.num_systems;
  ResampledMeans result{num_systems, {}};
  if (units.num_units() == 0) return result;
  BE_CHECK(units.num_units() < (uint64_t{1} << 32), std::to_string(units.num_units()));
  result.means.resize(static_cast<size_t>(options.resamples) * num_systems);
  for (int64_t resample = 0; resample < options.resamples; ++resample) {
    double* means = &result.means[static_cast<size_t>(resample) * num_systems];
    double size = 0;
    ForEachDraw(units.num_units(), options, resample, [&](size_t unit) {
      const double* sums = &units.sums[unit * num_systems];
      for (size_t s = 0; s < num_systems; ++s) means[s] += sums[s];
      size += units.sizes[unit];
    });
    for (size_t s = 0; s < num_systems; ++s) means[s] /= size;
  }
  return result;
}

Units ResampleUnits(const Units& units, const BootstrapOptions& options, int64_t resample) {
  Units drawn{units.num_systems, {}, {}};
  drawn.sums.reserve(units.sums.size());
  drawn.sizes.reserve(units.sizes.size());
  ForEachDraw(units.num_units(), options, resample, [&](size_t unit) {
    const auto row = units.sums.begin() + static_cast<std::ptrdiff_t>(unit * units.num_systems);
    drawn.sums.insert(drawn.sums.end(), row, row + static_cast<std::ptrdiff_t>(units.num_systems));
    drawn.sizes.push_back(units.sizes[unit]);
  });
  return drawn;
}

std::vector<double> CombineResampled(const ResampledMeans& resampled,
                                     std::span<const double> coefficients) {
  BE_CHECK(coefficients.size() == resampled.num_systems, std::to_string(coefficients.size()));
  std::vector<double> combined(resampled.num_resamples());
  for (size_t b = 0; b < combined.size(); ++b) {
    for (size_t s = 0; s < coefficients.size(); ++s) {
      combined[b] += coefficients[s] * resampled.at(b, s);
    }
  }
  return combined;
}

std::vector<double> HierarchicalMeans(const ResampledMeans& resampled,
                                      std::span<const size_t> replicates, uint64_t seed) {
  const size_t count = replicates.size();
  std::vector<double> means(resampled.num_resamples());
  for (size_t b = 0; b < means.size(); ++b) {
    for (size_t i = 0; i < count; ++i) {
      const uint64_t bits =
          RandomBits(seed, static_cast<uint64_t>(RandomStream::kBootstrapSeeds), b * count + i);
      means[b] += resampled.at(b, replicates[((bits >> 32) * count) >> 32]);
    }
    means[b] /= static_cast<double>(count);
  }
  return means;
}

double SortedQuantile(std::span<const double> sorted, double p) {
  BE_CHECK(!sorted.empty(), "no values");
  const double position = std::clamp(p, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double fraction = position - static_cast<double>(below);
  // Between two infinities, or with no way to go, there is nothing to interpolate.
  if (fraction == 0 || sorted[below] == sorted[above]) return sorted[below];
  return sorted[below] + fraction * (sorted[above] - sorted[below]);
}

Interval PercentileInterval(std::vector<double> distribution, double confidence) {
  std::sort(distribution.begin(), distribution.end());
  const double tail = (1 - confidence) / 2;
  return {SortedQuantile(distribution, tail), SortedQuantile(distribution, 1 - tail)};
}

std::vector<double> JackknifeMeans(const Units& units) {
  BE_CHECK(units.num_systems == 1, std::to_string(units.num_systems));
  double sum = 0;
  double size = 0;
  for (size_t u = 0; u < units.num_units(); ++u) {
    sum += units.sums[u];
    size += units.sizes[u];
  }
  std::vector<double> means(units.num_units());
  for (size_t u = 0; u < means.size(); ++u) {
    means[u] = (sum - units.sums[u]) / (size - units.sizes[u]);
  }
  return means;
}

Interval BcaInterval(std::vector<double> distribution, double estimate,
                     std::span<const double> jackknife, double confidence) {
  std::sort(distribution.begin(), distribution.end());
  if (distribution.front() == distribution.back()) return {distribution[0], distribution[0]};
  const auto [below, not_above] =
      std::equal_range(distribution.begin(), distribution.end(), estimate);
  const double rank =
      static_cast<double>((below - distribution.begin()) + (not_above - distribution.begin())) /
      (2 * static_cast<double>(distribution.size()));
  // An estimate outside its distribution has half a resample beyond it, not none: no infinite bias.
  const double least = 0.5 / static_cast<double>(distribution.size());
  const double bias = NormalQuantile(std::clamp(rank, least, 1 - least));
  double centre = 0;
  for (double value : jackknife) centre += value / static_cast<double>(jackknife.size());
  double squares = 0;
  double cubes = 0;
  for (double value : jackknife) {
    squares += std::pow(centre - value, 2);
    cubes += std::pow(centre - value, 3);
  }
  const double acceleration = squares > 0 ? cubes / (6 * std::pow(squares, 1.5)) : 0;
  const auto end = [&](double p) {
    const double z = bias + NormalQuantile(p);
    const double scale = 1 - acceleration * z;
    if (scale <= 0) return z > 0 ? distribution.back() : distribution.front();
    return SortedQuantile(distribution, NormalCdf(bias + z / scale));
  };
  const double tail = (1 - confidence) / 2;
  return {end(tail), end(1 - tail)};
}

double MaxTCriticalValue(std::span<const std::vector<double>> differences,
                         std::span<const double> estimates, std::span<const double> standard_errors,
                         double confidence) {
  if (differences.empty()) return 0;
  std::vector<double> largest(differences.front().size());
  for (size_t j = 0; j < differences.size(); ++j) {
    if (!(standard_errors[j] > 0)) continue;
    for (size_t b = 0; b < largest.size(); ++b) {
      const double t = std::abs(differences[j][b] - estimates[j]) / standard_errors[j];
      largest[b] = std::max(largest[b], t);
    }
  }
  std::sort(largest.begin(), largest.end());
  return SortedQuantile(largest, confidence);
}

}  // namespace breakeven
