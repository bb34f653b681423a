#include "trainer/optim/gradient_norm.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "comm/base/error.h"
#include "trainer/optim/gradient_norm_kernel.h"

namespace breakeven {

GradientNorm::GradientNorm(int64_t num_elements)
    : num_elements_(num_elements),
      block_sums_(static_cast<size_t>((num_elements + kNormBlock - 1) / kNormBlock), 0.0) {}

void GradientNorm::AddRange(const float* flat, FlatRange range) {
  BE_CHECK(
      range.begin % kNormBlock == 0 && (range.end % kNormBlock == 0 || range.end == num_elements_),
      "range cuts a block: " + std::to_string(range.begin) + " " + std::to_string(range.end) +
          " of " + std::to_string(num_elements_));
  const int64_t first = range.begin / kNormBlock;
  const int64_t last = (range.end + kNormBlock - 1) / kNormBlock;
  at::parallel_for(first, last, 64, [&](int64_t begin, int64_t end) {
    const int64_t start = begin * kNormBlock;
    SumSquaresOfBlocks(flat + start, std::min(end * kNormBlock, num_elements_) - start, kNormBlock,
                       &block_sums_[static_cast<size_t>(begin)]);
  });
}

FlatRange GradientNorm::WholeBlocks(const FlatRange& range) const {
  const int64_t end = (range.end + kNormBlock - 1) / kNormBlock * kNormBlock;
  return {range.begin / kNormBlock * kNormBlock, std::min(end, num_elements_)};
}

double GradientNorm::Take() {
  double total = 0;
  for (double& sum : block_sums_) {
    total += sum;
    sum = 0;
  }
  return std::sqrt(total);
}

}  // namespace breakeven
