// Pure. Resampled learning curves: what the intervals of learning_curve.h are made of.
#ifndef BREAKEVEN_TRAINER_STUDY_CURVE_DRAWS_H_
#define BREAKEVEN_TRAINER_STUDY_CURVE_DRAWS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "trainer/statistics/bootstrap.h"
#include "trainer/statistics/units.h"

namespace breakeven {

// Columns of units that belong together: the baseline and each size.
struct CurveLayout {
  std::vector<double> sizes;                 // ascending
  std::vector<std::vector<size_t>> columns;  // [size][replicate]
  std::vector<size_t> baseline;
};

struct Curve {
  std::vector<double> scores;  // [size]
  double baseline = 0;
};

Curve ObservedCurve(const CurveLayout& layout, const Units& units);
// One for each resample: documents by `resampled`, replicates by Student's t with the standard error of `units`.
std::vector<Curve> DrawCurves(const CurveLayout& layout, const Units& units,
                              const ResampledMeans& resampled, uint64_t seed);

// The number of examples at which the curve rises above the baseline; the smallest size where it is above from the
// start, infinity where it never is.
double CrossingOf(const CurveLayout& layout, const Curve& curve);

// Coverage of PercentileInterval over DrawCurves' crossings: the share of studies drawn from these records whose own interval
// holds the crossing of these records. `resamples` for each study.
double CrossingCoverage(const CurveLayout& layout, const Units& units, double confidence,
                        int64_t studies, int64_t resamples, uint64_t seed);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_CURVE_DRAWS_H_
