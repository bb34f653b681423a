// Pure. Matrix products with few rows on the left: a step of generation, a handful of scored rows.
//
// Such a product takes as long as reading its right side, the weights. Here that is read once, as it
// lies, by as many threads as there are; packing it would write it again, and MKL gives one row to
// one thread (measured on AMD's Zen 4, two cores that read 33 GB/s: a step of generation went through
// the weights at 11 GB/s, and does so at 25 now).
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_FEW_ROWS_PRODUCT_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_FEW_ROWS_PRODUCT_H_

#include <cstdint>

#include "trainer/autograd/packed_product.h"

namespace breakeven {

// From as many rows on, packing pays (on Zen 4; nobody has measured where MKL would overtake this on
// Intel's processors below).
inline constexpr int64_t kFewRows = 16;

// Columns [begin, end) of a product with any number of rows, so that threads can share one out. The
// left side's lines are its rows. Every element is summed in float32 in an order that depends on the
// depth and the form of the right side alone, not on the rows beside it. `sums`: scratch of
// rows · (end - begin) floats.
void MultiplyFewRows(const PackedProduct<float>& product, int64_t begin, int64_t end, float* sums);
void MultiplyFewRows(const PackedProduct<BFloat16>& product, int64_t begin, int64_t end,
                     float* sums);
void MultiplyFewRows(const PackedProduct<BFloat16, BFloat16>& product, int64_t begin, int64_t end,
                     float* sums);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_FEW_ROWS_PRODUCT_H_
