// Pure. For kernels of matrix products in AVX-512: lines of a matrix into the order in which a kernel reads them, in
// words: a float, or two neighbours in depth of bfloat16. What lies beyond the matrix becomes zeros.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_PACK_LINES_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_PACK_LINES_H_

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstdint>

#include "trainer/autograd/bfloat16.h"
#include "trainer/autograd/packed_product.h"

// bfloat16's instruction is met only in functions that HasPackedProduct<BFloat16> guards.
#define BE_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define BE_AVX512_INLINE BE_AVX512 inline __attribute__((always_inline))

namespace breakeven {

BE_AVX512_INLINE __mmask16 FirstLanes(int64_t count) {
  return static_cast<__mmask16>((uint32_t{1} << std::clamp<int64_t>(count, 0, 16)) - 1);
}

// Words [first, first + 16) of a line in depth; beyond `depth` elements there are zeros.
BE_AVX512_INLINE __m512i LoadLine(const float* line, int64_t first, int64_t depth) {
  return _mm512_maskz_loadu_epi32(FirstLanes(depth - first), line + first);
}
BE_AVX512_INLINE __m512i LoadLine(const BFloat16* line, int64_t first, int64_t depth) {
  const int64_t left = std::clamp<int64_t>(depth - 2 * first, 0, 32);
  const auto mask = static_cast<__mmask32>((uint64_t{1} << left) - 1);
  return _mm512_maskz_loadu_epi16(mask, line + 2 * first);
}

// Word `k` in depth of 16 lines from the first on, of which `lines` exist.
BE_AVX512_INLINE __m512i LoadAcross(const float* from, int64_t stride, int64_t k, int64_t depth,
                                    int64_t lines) {
  return _mm512_maskz_loadu_epi32(k < depth ? FirstLanes(lines) : __mmask16{0}, from + k * stride);
}
BE_AVX512_INLINE __m512i LoadAcross(const BFloat16* from, int64_t stride, int64_t k, int64_t depth,
                                    int64_t lines) {
  const BFloat16* row = from + 2 * k * stride;
  const __mmask16 there = 2 * k < depth ? FirstLanes(lines) : __mmask16{0};
  const __mmask16 next = 2 * k + 1 < depth ? there : __mmask16{0};
  const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(there, row));
  const __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(next, row + stride));
  return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

// Rows of 16 words become columns.
BE_AVX512_INLINE void Transpose(__m512i (&rows)[16]) {
  __m512i pairs[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    pairs[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
    pairs[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      rows[4 * i + 2 * h] = _mm512_unpacklo_epi64(pairs[4 * i + h], pairs[4 * i + 2 + h]);
      rows[4 * i + 2 * h + 1] = _mm512_unpackhi_epi64(pairs[4 * i + h], pairs[4 * i + 2 + h]);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512i even01 = _mm512_shuffle_i32x4(rows[i], rows[4 + i], 0x88);
    const __m512i odd01 = _mm512_shuffle_i32x4(rows[i], rows[4 + i], 0xdd);
    const __m512i even23 = _mm512_shuffle_i32x4(rows[8 + i], rows[12 + i], 0x88);
    const __m512i odd23 = _mm512_shuffle_i32x4(rows[8 + i], rows[12 + i], 0xdd);
    pairs[i] = _mm512_shuffle_i32x4(even01, even23, 0x88);
    pairs[8 + i] = _mm512_shuffle_i32x4(even01, even23, 0xdd);
    pairs[4 + i] = _mm512_shuffle_i32x4(odd01, odd23, 0x88);
    pairs[12 + i] = _mm512_shuffle_i32x4(odd01, odd23, 0xdd);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) rows[i] = pairs[i];
}

// 16 lines from `line` on, of which `lines` exist; 16 words from `word` on of the `depth` elements from k on. As they lie:
// a vector is a line where lines are rows, else a word of all lines.
template <typename T>
BE_AVX512_INLINE void LoadSquare(const ProductSide<T>& side, int64_t line, int64_t lines, int64_t k,
                                 int64_t depth, int64_t word, __m512i (&square)[16]) {
  if (side.lines_are_rows) {
    const T* from = side.data + line * side.stride + k;
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      square[i] =
          i < lines ? LoadLine(from + i * side.stride, word, depth) : _mm512_setzero_si512();
    }
    return;
  }
  const T* from = side.data + k * side.stride + line;
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) square[i] = LoadAcross(from, side.stride, word + i, depth, lines);
}

// 16 lines as to[word · panel + line]: the words of a depth stand side by side.
template <typename T>
BE_AVX512_INLINE void PackByWords(const ProductSide<T>& side, int64_t line, int64_t lines,
                                  int64_t k, int64_t depth, int64_t words, int64_t panel,
                                  __mmask16 stored, uint32_t* to) {
  for (int64_t first = 0; first < words; first += 16) {
    __m512i square[16];
    LoadSquare(side, line, lines, k, depth, first, square);
    if (side.lines_are_rows) Transpose(square);
    const int64_t count = std::min<int64_t>(16, words - first);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      if (i < count) _mm512_mask_storeu_epi32(to + (first + i) * panel, stored, square[i]);
    }
  }
}

// 16 lines as squares of 16 words: to[16 · word + 16 · line + i] is word + i of the line, for every 16th word.
template <typename T>
BE_AVX512_INLINE void PackBySquares(const ProductSide<T>& side, int64_t line, int64_t lines,
                                    int64_t k, int64_t depth, int64_t words, uint32_t* to) {
  for (int64_t first = 0; first < words; first += 16, to += 256) {
    __m512i square[16];
    LoadSquare(side, line, lines, k, depth, first, square);
    if (!side.lines_are_rows) Transpose(square);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) _mm512_storeu_si512(to + 16 * i, square[i]);
  }
}

// Lines [line, line + count) as panels of `panel` lines each.
template <typename T>
BE_AVX512 void PackPanels(const ProductSide<T>& side, int64_t line, int64_t count, int64_t k,
                          int64_t depth, int64_t words, int64_t panel, uint32_t* to) {
  for (int64_t first = 0; first < count; first += panel, to += words * panel) {
    for (int64_t i = 0; i < panel; i += 16) {
      PackByWords(side, line + first + i, std::max<int64_t>(0, count - first - i), k, depth, words,
                  panel, FirstLanes(panel - i), to + i);
    }
  }
}

}  // namespace breakeven

#endif  // __x86_64__

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_PACK_LINES_H_
