// Pure. Products of small matrices of bfloat16, summed in float32, for attention: nothing of a left side
// is packed. Needs HasPackedProduct<BFloat16>. Included by .cpp files only.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_WORD_PRODUCTS_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_WORD_PRODUCTS_H_

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "trainer/autograd/pack_lines.h"

namespace breakeven::word_products {

inline constexpr int64_t kWordLanes = 16;

// Two bfloat16 that are neighbours in depth, wherever they lie.
typedef int32_t Word __attribute__((may_alias, aligned(2)));

// A product's left side: word w of row r at data[r · row_step + w · word_step].
struct Left {
  const void* data;
  int64_t row_step;
  int64_t word_step;
};

// A product's right side, as pack_lines.h leaves it: word w of column c at data[w · row + c].
struct Right {
  const uint32_t* data;
  int64_t row;
};

// kRows × kVectors·16 elements of left · right, in registers.
template <int kVectors, int kRows>
BE_AVX512 void Tile(const Word* left, int64_t row_step, int64_t word_step, const Right& right,
                    int64_t words, float* out, int64_t out_row, bool add) {
  __m512 sums[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      sums[r][v] = add ? _mm512_loadu_ps(out + r * out_row + v * kWordLanes) : _mm512_setzero_ps();
    }
  }
  for (int64_t w = 0; w < words; ++w) {
    __m512i columns[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      columns[v] = _mm512_loadu_si512(right.data + w * right.row + v * kWordLanes);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const __m512i value = _mm512_set1_epi32(left[r * row_step + w * word_step]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        sums[r][v] = _mm512_dpbf16_ps(sums[r][v], (__m512bh)value, (__m512bh)columns[v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      _mm512_storeu_ps(out + r * out_row + v * kWordLanes, sums[r][v]);
    }
  }
}

// All rows of kVectors·16 columns, kRows at a time: of fewer columns more rows, so that enough sums are
// on their way.
template <int kVectors, int kRows>
void Panel(const Left& left, const Right& right, int64_t rows, int64_t words, float* out,
           int64_t out_row, bool add) {
  const Word* data = static_cast<const Word*>(left.data);
  int64_t r = 0;
  const auto tiles = [&]<int kCount>(std::integral_constant<int, kCount>) {
    for (; r + kCount <= rows; r += kCount) {
      Tile<kVectors, kCount>(data + r * left.row_step, left.row_step, left.word_step, right, words,
                             out + r * out_row, out_row, add);
    }
  };
  tiles(std::integral_constant<int, kRows>{});
  if constexpr (kRows > 4) tiles(std::integral_constant<int, 4>{});
  tiles(std::integral_constant<int, 1>{});
}

// out [rows, columns] = or += left · right; columns a multiple of 16.
inline void Multiply(const Left& left, const Right& right, int64_t rows, int64_t columns,
                     int64_t words, float* out, int64_t out_row, bool add = false) {
  for (int64_t c = 0; c < columns; c += 4 * kWordLanes) {
    const Right from = {right.data + c, right.row};
    switch (std::min<int64_t>(4, (columns - c) / kWordLanes)) {
      case 4:
        Panel<4, 4>(left, from, rows, words, out + c, out_row, add);
        break;
      case 3:
        Panel<3, 4>(left, from, rows, words, out + c, out_row, add);
        break;
      case 2:
        Panel<2, 8>(left, from, rows, words, out + c, out_row, add);
        break;
      default:
        Panel<1, 8>(left, from, rows, words, out + c, out_row, add);
        break;
    }
  }
}

}  // namespace breakeven::word_products

#endif  // __x86_64__

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_WORD_PRODUCTS_H_
