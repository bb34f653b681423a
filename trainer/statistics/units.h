// Pure. Documents brought together to the units that are drawn independently (a document, or all
// documents of one group), and estimates of means from them. A mean is Σ sums / Σ sizes: sizes are
// numbers of documents for scores, words or bytes for log-likelihoods.
#ifndef BREAKEVEN_TRAINER_STATISTICS_UNITS_H_
#define BREAKEVEN_TRAINER_STATISTICS_UNITS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "trainer/statistics/interval.h"

namespace breakeven {

struct Units {
  size_t num_systems = 0;
  std::vector<double> sums;   // [unit][system]
  std::vector<double> sizes;  // [unit], > 0
  size_t num_units() const { return sizes.size(); }
  double sum(size_t unit, size_t system) const { return sums[unit * num_systems + system]; }
};

// `systems[s][i]` is document i's score (or numerator) under system s. `sizes` (empty: 1 each) and
// `groups` (empty: each document is its own) are parallel to the documents. Units stand in order of
// their group's first document.
Units MakeUnits(std::span<const std::vector<double>> systems, std::span<const double> sizes = {},
                std::span<const uint64_t> groups = {});

// One system: Σ_s coefficients[s] · system s. A difference is {1, −1}.
Units Combine(const Units& units, std::span<const double> coefficients);

std::vector<double> Means(const Units& units);  // [system]; NaN without units

// Covariances of the systems' means under drawing units anew, [system][system]: sandwich
// estimators with Σ of a unit's residuals. kPlain: C/(C−1), which for units of one document is the
// usual s²/n and for groups is the usual clustered variance. kLeverage divides each unit's term by
// 1 − its share of all sizes (CR2 of Bell & McCaffrey, 2002): the same for equal units, nearly
// unbiased for unequal ones. NaN with fewer than 2 units.
enum class SmallSample { kPlain, kLeverage };
std::vector<double> MeanCovariance(const Units& units, SmallSample correction);

// Satterthwaite's degrees of freedom of the kLeverage variance for independent documents (Bell &
// McCaffrey): C − 1 for equal units, fewer when a few units hold most documents.
double LeverageDegrees(const Units& units);

struct MeanEstimate {
  double value = 0;
  double standard_error = 0;
  double degrees = 0;
};
// Of one system. kPlain: C − 1 degrees.
MeanEstimate EstimateMean(const Units& units, SmallSample correction);

Interval StudentInterval(const MeanEstimate& estimate, double confidence);
// Two-sided, for the hypothesis that the mean is `null`; 1 where all is equal, NaN where it is undefined.
double StudentPValue(const MeanEstimate& estimate, double null = 0);

// Variance of a mean with groups ÷ variance without: what grouping costs. NaN where it is 0 ÷ 0.
double DesignEffect(std::span<const double> values, std::span<const double> sizes,
                    std::span<const uint64_t> groups);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STATISTICS_UNITS_H_
