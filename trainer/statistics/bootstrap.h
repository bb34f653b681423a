// Pure. Paired bootstrap: units are drawn once per resample, with replacement, and the same draw is applied to all
// systems. Every draw is a function of (seed, resample, position), so results depend on nothing else.
#ifndef BREAKEVEN_TRAINER_STATISTICS_BOOTSTRAP_H_
#define BREAKEVEN_TRAINER_STATISTICS_BOOTSTRAP_H_

#include <cstdint>
#include <span>
#include <vector>

#include "trainer/statistics/interval.h"
#include "trainer/statistics/units.h"

namespace breakeven {

struct BootstrapOptions {
  int64_t resamples = 10000;
  uint64_t seed = 0;
};

struct ResampledMeans {
  size_t num_systems = 0;
  std::vector<double> means;  // [resample][system]
  size_t num_resamples() const { return num_systems == 0 ? 0 : means.size() / num_systems; }
  double at(size_t resample, size_t system) const { return means[resample * num_systems + system]; }
};

// All systems' means in each resample. The cost is resamples × units × systems additions.
ResampledMeans BootstrapMeans(const Units& units, const BootstrapOptions& options);

// Units drawn as in resample `resample` of BootstrapMeans, as a data set of its own.
Units ResampleUnits(const Units& units, const BootstrapOptions& options, int64_t resample);

// Σ_s coefficients[s] · system s, in each resample.
std::vector<double> CombineResampled(const ResampledMeans& resampled,
                                     std::span<const double> coefficients);

// Two-way (hierarchical) bootstrap of a mean over replicates: in each resample the replicates (systems named by
// `replicates`, for example one for each training seed) are drawn with replacement as well, then averaged. Its spread
// lacks a factor √((S−1)/S) and its quantiles Student's: with few replicates it covers too little
// (trainer/statistics/README.md), so it is shown beside, not used.
std::vector<double> HierarchicalMeans(const ResampledMeans& resampled,
                                      std::span<const size_t> replicates, uint64_t seed);

// The quantile of a sample, linear between order statistics (numpy's default). `sorted` ascending, not empty; infinite
// values are allowed.
double SortedQuantile(std::span<const double> sorted, double p);
Interval PercentileInterval(std::vector<double> distribution, double confidence);

// A mean with each unit left out in turn.
std::vector<double> JackknifeMeans(const Units& units);  // of one system

// Bias-corrected and accelerated (Efron, 1987), in scipy's arrangement. A distribution of one value
// gives that value.
Interval BcaInterval(std::vector<double> distribution, double estimate,
                     std::span<const double> jackknife, double confidence);

// Simultaneous intervals for several differences (Westfall & Young's max-T): the c with which |difference* −
// difference| ≤ c · standard error holds for all at once in `confidence` of the resamples. `differences[j]` is a column
// of resamples; a standard error of 0 leaves its column out. No columns: 0.
double MaxTCriticalValue(std::span<const std::vector<double>> differences,
                         std::span<const double> estimates, std::span<const double> standard_errors,
                         double confidence);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STATISTICS_BOOTSTRAP_H_
