// Pure. Claims about a recipe: replicates (training seeds, shot draws) are a random factor beside documents. Crossed
// layout: every replicate is scored on all documents.
#ifndef BREAKEVEN_TRAINER_STATISTICS_REPLICATES_H_
#define BREAKEVEN_TRAINER_STATISTICS_REPLICATES_H_

#include <cstddef>
#include <span>
#include <vector>

#include "trainer/statistics/units.h"

namespace breakeven {

// Where the uncertainty of mean(first) − mean(second) comes from.
struct RecipeEstimate {
  MeanEstimate total;      // new documents and new replicates
  MeanEstimate documents;  // new documents, these replicates
  MeanEstimate
      replicates;  // new replicates, these documents; standard error NaN without replicates
  double document_variance = 0;   // common to all replicates: falls with the number of documents
  double replicate_variance = 0;  // falls with the number of replicates
};

// `first` and `second` are systems (columns) of `units`; a side of one column is a fixed system, `second` may be empty.
// Variance of the replicates' means over their number, plus the covariance between replicates that documents cause, as
// in the analysis of several readers on the same cases (Obuchowski & Rockette, 1995; degrees of freedom after Hillis,
// 2007, with a term for documents). Where documents cause nothing it is Student's t with S − 1 degrees on the S means.
RecipeEstimate CompareRecipes(const Units& units, std::span<const size_t> first,
                              std::span<const size_t> second);

// Variance components of a crossed layout, scores[replicate][document], by expected mean squares;
// negative estimates are 0. Fewer than 2 of either: NaN.
struct VarianceComponents {
  double replicate = 0;
  double document = 0;
  double residual = 0;
};
VarianceComponents CrossedComponents(std::span<const std::vector<double>> scores);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STATISTICS_REPLICATES_H_
