// Pure. Claims about a recipe: replicates (training seeds, shot draws) are a random factor beside documents. Crossed
// layout: every replicate is scored on all documents.
#ifndef BREAKEVEN_TRAINER_STATISTICS_REPLICATES_H_
#define BREAKEVEN_TRAINER_STATISTICS_REPLICATES_H_

#include <cstddef>
#include <span>
#include <vector>

#include "trainer/statistics/interval.h"
#include "trainer/statistics/units.h"

namespace breakeven {

// One side of a comparison: the mean of its replicates' means.
struct ReplicateSide {
  double mean = 0;
  double variance = 0;  // of that mean, from the replicates' spread; 0 for a fixed system
  double degrees = 0;   // replicates − 1; 0 for a fixed system
};

struct RecipeEstimate {
  double value = 0;  // mean(first) − mean(second)
  ReplicateSide first;
  ReplicateSide second;
  MeanEstimate documents;        // new documents, these replicates
  double document_variance = 0;  // the part of it that all replicates have in common
  double replicate_variance() const { return first.variance + second.variance; }
};

// `first` and `second` are systems (columns) of `units`; a side of one column is a fixed system, `second` may be empty.
// The common document variance is the mean covariance between replicates, as in the analysis of several readers on the
// same cases (Obuchowski & Rockette, 1995); negative estimates are 0.
RecipeEstimate CompareRecipes(const Units& units, std::span<const size_t> first,
                              std::span<const size_t> second);

// New replicates, these documents: Student's t with S − 1 degrees of freedom on the S means. NaN where neither side has
// replicates.
Interval ReplicateInterval(const RecipeEstimate& estimate, double confidence);

// New documents and new replicates: an interval for `documents` alone, and Student's for each side's replicates, joined
// by the root of the sum of squared half-widths (Zou & Donner, 2008: MOVER), so the ends need not be symmetric. Without
// replicates it is `documents`.
Interval JoinReplicates(const RecipeEstimate& estimate, Interval documents, double confidence);

// Variance components of a crossed layout, scores[replicate][document], by expected mean squares; negative estimates
// are 0. Fewer than 2 of either: NaN.
struct VarianceComponents {
  double replicate = 0;
  double document = 0;
  double residual = 0;
};
VarianceComponents CrossedComponents(std::span<const std::vector<double>> scores);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STATISTICS_REPLICATES_H_
