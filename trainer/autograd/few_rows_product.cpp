// Pure.
#include "trainer/autograd/few_rows_product.h"

#include <algorithm>

#include "comm/base/error.h"
#include "trainer/autograd/vector_math.h"

namespace breakeven {
namespace {

using vector_math::Floats;
using vector_math::kLanes;
using vector_math::Load;
using vector_math::LoadWhole;
using vector_math::Splat;
using vector_math::Store;

// Up to sixteen elements of kRows rows and kColumns columns, from each one's `k` on.
template <bool kWhole, int kRows, int kColumns, typename T>
BE_INLINE void AddProducts(const T* left, int64_t left_stride, const T* right, int64_t right_stride,
                           int64_t count, Floats (&lanes)[kRows][kColumns]) {
  Floats columns[kColumns];
#pragma GCC unroll 4
  for (int c = 0; c < kColumns; ++c) {
    const T* const from = right + c * right_stride;
    columns[c] = kWhole ? LoadWhole(from) : Load(from, count);
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const T* const from = left + r * left_stride;
    const Floats row = kWhole ? LoadWhole(from) : Load(from, count);
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) lanes[r][c] += row * columns[c];
  }
}

// kRows · kColumns dot products side by side. Four: as many as hide an addition's latency, and few
// enough for AVX2's registers.
template <int kRows, int kColumns, typename T>
BE_INLINE void Dots(const T* left, int64_t left_stride, const T* right, int64_t right_stride,
                    int64_t depth, float* sums, int64_t sums_stride) {
  Floats lanes[kRows][kColumns] = {};
  int64_t k = 0;
  for (; k + kLanes <= depth; k += kLanes) {
    AddProducts<true>(left + k, left_stride, right + k, right_stride, kLanes, lanes);
  }
  if (k < depth) {
    AddProducts<false>(left + k, left_stride, right + k, right_stride, depth - k, lanes);
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) {
      sums[r * sums_stride + c] = vector_math::HorizontalSum(lanes[r][c]);
    }
  }
}

// All rows by kColumns columns: what is read of the right side stays in the first-level cache.
template <int kColumns, typename T>
BE_INLINE void DotsOfColumns(const ProductSide<T>& left, int64_t rows, const T* right,
                             int64_t right_stride, int64_t depth, float* sums,
                             int64_t sums_stride) {
  constexpr int kRows = 4 / kColumns;
  int64_t r = 0;
  for (; r + kRows <= rows; r += kRows) {
    Dots<kRows, kColumns>(left.data + r * left.stride, left.stride, right, right_stride, depth,
                          sums + r * sums_stride, sums_stride);
  }
  for (; r < rows; ++r) {
    Dots<1, kColumns>(left.data + r * left.stride, left.stride, right, right_stride, depth,
                      sums + r * sums_stride, sums_stride);
  }
}

// The right side's columns lie in memory one behind the other.
template <typename T, typename Out>
BE_INLINE void SumByDots(const PackedProduct<T, Out>& p, int64_t begin, int64_t end, float* sums) {
  const int64_t width = end - begin;
  const int64_t at_once = p.rows >= 4 ? 1 : p.rows >= 2 ? 2 : 4;
  int64_t c = 0;
  const auto columns = [&](int64_t first) {
    return p.right.data + (begin + first) * p.right.stride;
  };
  for (; c + at_once <= width; c += at_once) {
    if (at_once == 4) {
      DotsOfColumns<4>(p.left, p.rows, columns(c), p.right.stride, p.depth, sums + c, width);
    } else if (at_once == 2) {
      DotsOfColumns<2>(p.left, p.rows, columns(c), p.right.stride, p.depth, sums + c, width);
    } else {
      DotsOfColumns<1>(p.left, p.rows, columns(c), p.right.stride, p.depth, sums + c, width);
    }
  }
  for (; c < width; ++c) {
    DotsOfColumns<1>(p.left, p.rows, columns(c), p.right.stride, p.depth, sums + c, width);
  }
}

// `kLines` lines of the right side from depth `k` on, times one row's elements.
template <int kLines, typename T>
BE_INLINE void AddLines(const T* left, const T* right, int64_t right_stride, int64_t width,
                        float* sums) {
  Floats factor[kLines];
  for (int l = 0; l < kLines; ++l) factor[l] = Splat(Load(left + l, 1)[0]);
  for (int64_t c = 0; c < width; c += kLanes) {
    Floats sum = Load(sums + c, width - c);
#pragma GCC unroll 4
    for (int l = 0; l < kLines; ++l) {
      sum += factor[l] * Load(right + l * right_stride + c, width - c);
    }
    Store(sums + c, sum, width - c);
  }
}

// The right side's rows lie in memory one behind the other: sums grow in the cache while four rows
// at a time stream past.
template <typename T, typename Out>
BE_INLINE void SumByLines(const PackedProduct<T, Out>& p, int64_t begin, int64_t end,
                          float* all_sums) {
  constexpr int64_t kColumnsInCache = 2048;
  constexpr int kLines = 4;
  const int64_t width = end - begin;
  std::fill_n(all_sums, p.rows * width, 0.0f);
  for (int64_t c = 0; c < width; c += kColumnsInCache) {
    const int64_t columns = std::min(kColumnsInCache, width - c);
    const T* const right = p.right.data + begin + c;
    int64_t k = 0;
    for (; k + kLines <= p.depth; k += kLines) {
      for (int64_t r = 0; r < p.rows; ++r) {
        AddLines<kLines>(p.left.data + r * p.left.stride + k, right + k * p.right.stride,
                         p.right.stride, columns, all_sums + r * width + c);
      }
    }
    for (; k < p.depth; ++k) {
      for (int64_t r = 0; r < p.rows; ++r) {
        AddLines<1>(p.left.data + r * p.left.stride + k, right + k * p.right.stride, 0, columns,
                    all_sums + r * width + c);
      }
    }
  }
}

template <typename T, typename Out>
BE_INLINE void SumOfProducts(const PackedProduct<T, Out>& p, int64_t begin, int64_t end,
                             float* sums) {
  BE_CHECK(p.left.lines_are_rows, "rows on the left");
  if (p.right.lines_are_rows) {
    SumByDots(p, begin, end, sums);
  } else {
    SumByLines(p, begin, end, sums);
  }
  const int64_t width = end - begin;
  for (int64_t r = 0; r < p.rows; ++r) {
    Out* const out = p.out + r * p.columns + begin;
    for (int64_t c = 0; c < width; c += kLanes) {
      Floats sum = Load(sums + r * width + c, width - c);
      if (p.add) sum += Load(out + c, width - c);
      Store(out + c, sum, width - c);
    }
  }
}

}  // namespace

BE_VECTORISED void MultiplyFewRows(const PackedProduct<float>& product, int64_t begin, int64_t end,
                                   float* sums) {
  SumOfProducts(product, begin, end, sums);
}
BE_VECTORISED void MultiplyFewRows(const PackedProduct<BFloat16>& product, int64_t begin,
                                   int64_t end, float* sums) {
  SumOfProducts(product, begin, end, sums);
}
BE_VECTORISED void MultiplyFewRows(const PackedProduct<BFloat16, BFloat16>& product, int64_t begin,
                                   int64_t end, float* sums) {
  SumOfProducts(product, begin, end, sums);
}

}  // namespace breakeven
