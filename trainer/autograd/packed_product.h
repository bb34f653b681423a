// Pure. Matrix products in AVX-512 or AMX, of float32 or of bfloat16 that is summed in float32 and never
// rounded. The method is that of Goto and van de Geijn, "Anatomy of high-performance matrix
// multiplication" (2008): blocks that fit the caches are packed into panels, and a tile of the result
// stays in registers.
//
// Why ours: on processors that are not Intel's MKL takes its AVX2 path (measured on AMD's Zen 4: 88 % of
// the peak, here 93 %). oneDNN is at the peak in bfloat16, but rounds a weight's gradient, and compiles and
// keeps a kernel for every batch height that it meets: ragged batches never have the same (SmolLM2 on an
// Emerald Rapids with AMX, a step of dense rows: 3.8 s with oneDNN and MKL, 2.9 s here). And a result
// here does not depend on what stands in a batch's other rows, nor on how many they are from kFewRows on (few_rows_product.h).
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_PACKED_PRODUCT_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_PACKED_PRODUCT_H_

#include <cstdint>

#include "trainer/autograd/bfloat16.h"

namespace breakeven {

// One side of a product: lines of `depth` elements, a line for each row (of the left side) or column (of
// the right side) of the result.
template <typename T>
struct ProductSide {
  const T* data = nullptr;
  int64_t stride = 0;
  // true: element k of line i is data[i·stride + k]; false: data[k·stride + i].
  bool lines_are_rows = false;
};

// out [rows, columns] = or += left · right; `out` contiguous, and apart from both sides. Out, float or T:
// BFloat16 is rounded once, at the end.
template <typename T, typename Out = float>
struct PackedProduct {
  int64_t depth = 0;
  int64_t rows = 0;
  int64_t columns = 0;
  ProductSide<T> left;
  ProductSide<T> right;
  Out* out = nullptr;
  bool add = false;
  bool vectors_only = false;  // not in AMX, so that one processor can test both kernels
};

// Whether this processor has what these need: AVX-512, and AVX512-BF16 for bfloat16. Where there is AMX, bfloat16 takes it.
template <typename T>
bool HasPackedProduct();

// Floats of scratch that a call for `rows` rows needs.
template <typename T, typename Out>
int64_t PackedProductScratch(const PackedProduct<T, Out>& product, int64_t rows);

// Rows [begin, end) of the result, so that threads can share one out. Each element is summed over the
// depth in an order that depends on the depth alone. Needs HasPackedProduct.
void Multiply(const PackedProduct<float>& product, int64_t begin, int64_t end, float* scratch);
void Multiply(const PackedProduct<BFloat16>& product, int64_t begin, int64_t end, float* scratch);
void Multiply(const PackedProduct<BFloat16, BFloat16>& product, int64_t begin, int64_t end,
              float* scratch);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_PACKED_PRODUCT_H_
