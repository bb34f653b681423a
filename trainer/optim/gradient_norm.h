// The norm of a flat gradient, the same bits for any number of threads and any cut into buckets.
#ifndef BREAKEVEN_TRAINER_OPTIM_GRADIENT_NORM_H_
#define BREAKEVEN_TRAINER_OPTIM_GRADIENT_NORM_H_

#include <cstdint>
#include <span>
#include <vector>

#include "trainer/optim/bucket_plan.h"

namespace breakeven {

// Squares are summed in double within blocks of this many elements, counted from the buffer's
// beginning, and the blocks' sums in order. So a bucket's part can be added while it is still in
// the cache, right after its reduction.
inline constexpr int64_t kNormBlock = 1024;

class GradientNorm {
 public:
  explicit GradientNorm(int64_t num_elements);
  // `flat` is the beginning of the whole float32 buffer in host memory. range.begin must be a
  // multiple of kNormBlock, range.end too or the buffer's end.
  void AddRange(const float* flat, FlatRange range);
  // The smallest range of whole blocks that holds `range`.
  FlatRange WholeBlocks(const FlatRange& range) const;
  // Sums of all blocks, 0 where nothing was added: ranks that each have some of the blocks add them
  // up before Take.
  std::span<double> block_sums() { return block_sums_; }
  // Root of the sum over everything added since the last call; NaN or infinite where the gradient
  // is.
  double Take();

 private:
  int64_t num_elements_;
  std::vector<double> block_sums_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_OPTIM_GRADIENT_NORM_H_
