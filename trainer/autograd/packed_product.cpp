// Pure.
#include "trainer/autograd/packed_product.h"

#include <algorithm>
#include <type_traits>

#include "comm/base/error.h"
#include "trainer/cpu_features.h"

#if defined(__x86_64__)
#include <immintrin.h>
// bfloat16's instruction is met only in functions that HasPackedProduct<BFloat16> guards.
#define BE_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define BE_AVX512_INLINE BE_AVX512 inline __attribute__((always_inline))
#endif

namespace breakeven {
namespace {

// A tile of the result stays in 24 of the 32 registers. 12 divides the sizes that models have.
constexpr int kTileRows = 12;
constexpr int kTileColumns = 32;
// Packed at a time, in words: a float, or two neighbours in depth of bfloat16. The right side's block is
// most of a second-level cache, a tile's lines of the left side half of a first-level one. Measured: from
// 256 to 600 words and from 6 to 18 panels nothing changes by more than 4 %.
constexpr int64_t kDepthWords = 384;
constexpr int64_t kBlockColumns = 18 * kTileColumns;
constexpr int64_t kBlockRows = 16 * kTileRows;

constexpr int64_t Ceiling(int64_t count, int64_t unit) { return (count + unit - 1) / unit; }

template <typename T>
constexpr int64_t kElementsOfWord = 4 / static_cast<int64_t>(sizeof(T));

// Blocks of about equal depth, of whole words.
template <typename T>
int64_t BlockDepth(int64_t depth) {
  const int64_t blocks = Ceiling(depth, kDepthWords * kElementsOfWord<T>);
  return Ceiling(Ceiling(depth, std::max<int64_t>(1, blocks)), 2) * 2;
}

#if defined(__x86_64__)

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
BE_AVX512_INLINE __m512i LoadAcross(const float* from, int64_t stride, int64_t k, int64_t /*depth*/,
                                    int64_t lines) {
  return _mm512_maskz_loadu_epi32(FirstLanes(lines), from + k * stride);
}
BE_AVX512_INLINE __m512i LoadAcross(const BFloat16* from, int64_t stride, int64_t k, int64_t depth,
                                    int64_t lines) {
  const BFloat16* row = from + 2 * k * stride;
  const __mmask16 there = FirstLanes(lines);
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

// Up to 16 lines of `depth` elements from (line, k) on, as to[word · panel + line]; lines beyond those
// that exist are zeros.
template <typename T>
BE_AVX512_INLINE void PackLines(const ProductSide<T>& side, int64_t line, int64_t k, int64_t depth,
                                int64_t lines, int64_t panel, __mmask16 stored, uint32_t* to) {
  const int64_t words = Ceiling(depth, kElementsOfWord<T>);
  if (!side.lines_are_rows) {
    const T* from = side.data + k * side.stride + line;
    for (int64_t w = 0; w < words; ++w) {
      _mm512_mask_storeu_epi32(to + w * panel, stored,
                               LoadAcross(from, side.stride, w, depth, lines));
    }
    return;
  }
  const T* from = side.data + line * side.stride + k;
  for (int64_t first = 0; first < words; first += 16) {
    __m512i square[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      square[i] =
          i < lines ? LoadLine(from + i * side.stride, first, depth) : _mm512_setzero_si512();
    }
    Transpose(square);
    const int64_t count = std::min<int64_t>(16, words - first);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      if (i < count) _mm512_mask_storeu_epi32(to + (first + i) * panel, stored, square[i]);
    }
  }
}

// Lines [line, line + count) as panels of `panel` lines each.
template <typename T>
BE_AVX512 void Pack(const ProductSide<T>& side, int64_t line, int64_t count, int64_t k,
                    int64_t depth, int64_t panel, uint32_t* to) {
  const int64_t words = Ceiling(depth, kElementsOfWord<T>);
  for (int64_t first = 0; first < count; first += panel, to += words * panel) {
    for (int64_t i = 0; i < panel; i += 16) {
      PackLines(side, line + first + i, k, depth, std::max<int64_t>(0, count - first - i), panel,
                FirstLanes(panel - i), to + i);
    }
  }
}

BE_AVX512_INLINE __m512 MultiplyAdd(float, __m512i a, __m512i b, __m512 sum) {
  return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum);
}
BE_AVX512_INLINE __m512 MultiplyAdd(BFloat16, __m512i a, __m512i b, __m512 sum) {
  return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

BE_AVX512_INLINE __m512 LoadSums(const float* from, __mmask16 mask) {
  return _mm512_maskz_loadu_ps(mask, from);
}
BE_AVX512_INLINE __m512 LoadSums(const BFloat16* from, __mmask16 mask) {
  const __m512i words = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
}
BE_AVX512_INLINE void StoreSums(float* to, __mmask16 mask, __m512 sums) {
  _mm512_mask_storeu_ps(to, mask, sums);
}
BE_AVX512_INLINE void StoreSums(BFloat16* to, __mmask16 mask, __m512 sums) {
  _mm256_mask_storeu_epi16(to, mask, (__m256i)_mm512_cvtneps_pbh(sums));
}

// What a tile adds its sums to (nullptr: to nothing), and where it leaves them.
template <typename From, typename To>
struct Place {
  const From* from = nullptr;
  To* to = nullptr;
  int64_t row = 0;  // length of both's rows
};

// kRows rows and up to 32 columns of the result, of one block of depth.
template <typename T, int kRows, typename From, typename To>
BE_AVX512 void Tile(const uint32_t* left, const uint32_t* right, int64_t words,
                    const Place<From, To>& place, int64_t columns) {
  const __mmask16 masks[2] = {FirstLanes(columns), FirstLanes(columns - 16)};
  __m512 sums[kRows][2];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    // The result's lines come while the products are made.
    __builtin_prefetch(place.to + r * place.row, /*for writing=*/1);
    __builtin_prefetch(place.to + r * place.row + 16, /*for writing=*/1);
    sums[r][0] = sums[r][1] = _mm512_setzero_ps();
  }
  for (int64_t w = 0; w < words; ++w) {
    const __m512i columns0 = _mm512_loadu_si512(right + w * kTileColumns);
    const __m512i columns1 = _mm512_loadu_si512(right + w * kTileColumns + 16);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const __m512i value = _mm512_set1_epi32(static_cast<int>(left[w * kTileRows + r]));
      sums[r][0] = MultiplyAdd(T{}, value, columns0, sums[r][0]);
      sums[r][1] = MultiplyAdd(T{}, value, columns1, sums[r][1]);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      const int64_t at = r * place.row + v * 16;
      if (place.from != nullptr) {
        sums[r][v] = _mm512_add_ps(sums[r][v], LoadSums(place.from + at, masks[v]));
      }
      StoreSums(place.to + at, masks[v], sums[r][v]);
    }
  }
}

template <typename T, int kRows = kTileRows, typename From, typename To>
void TileOf(int64_t rows, const uint32_t* left, const uint32_t* right, int64_t words,
            const Place<From, To>& place, int64_t columns) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      return TileOf<T, kRows - 1>(rows, left, right, words, place, columns);
    }
  }
  Tile<T, kRows>(left, right, words, place, columns);
}

// What is packed of both sides.
struct Blocks {
  uint32_t* left;
  uint32_t* right;
  int64_t depth_begin, depth, words;
};

// One block of depth, of rows [begin, end); `place` is that of the first element of row `begin`.
template <typename T, typename Out, typename From, typename To>
void MultiplyBlock(const PackedProduct<T, Out>& p, const Blocks& blocks, int64_t begin, int64_t end,
                   const Place<From, To>& place) {
  for (int64_t c = 0; c < p.columns; c += kBlockColumns) {
    const int64_t columns = std::min(kBlockColumns, p.columns - c);
    Pack(p.right, c, columns, blocks.depth_begin, blocks.depth, kTileColumns, blocks.right);
    for (int64_t r = begin; r < end; r += kBlockRows) {
      const int64_t rows = std::min(kBlockRows, end - r);
      Pack(p.left, r, rows, blocks.depth_begin, blocks.depth, kTileRows, blocks.left);
      for (int64_t tile = 0; tile < rows; tile += kTileRows) {
        for (int64_t panel = 0; panel < columns; panel += kTileColumns) {
          const int64_t at = (r - begin + tile) * p.columns + c + panel;
          TileOf<T>(std::min<int64_t>(kTileRows, rows - tile), blocks.left + tile * blocks.words,
                    blocks.right + panel * blocks.words, blocks.words,
                    Place<From, To>{place.from == nullptr ? nullptr : place.from + at,
                                    place.to + at, p.columns},
                    columns - panel);
        }
      }
    }
  }
}

template <typename T, typename Out>
void MultiplyBlocks(const PackedProduct<T, Out>& p, int64_t begin, int64_t end, float* scratch) {
  Blocks blocks{};
  blocks.left = reinterpret_cast<uint32_t*>(scratch);
  blocks.right = blocks.left + kDepthWords * kBlockRows;
  float* const partial = scratch + kDepthWords * (kBlockRows + kBlockColumns);
  Out* const out = p.out + begin * p.columns;
  const Out* const before = p.add ? out : nullptr;
  const int64_t step = BlockDepth<T>(p.depth);
  for (int64_t k = 0; k < p.depth; k += step) {
    blocks.depth_begin = k;
    blocks.depth = std::min(step, p.depth - k);
    blocks.words = Ceiling(blocks.depth, kElementsOfWord<T>);
    const bool last = k + step >= p.depth;
    if constexpr (std::is_same_v<Out, float>) {
      MultiplyBlock(p, blocks, begin, end,
                    Place<float, float>{k > 0 ? out : before, out, p.columns});
    } else if (k == 0 && last) {
      MultiplyBlock(p, blocks, begin, end, Place<Out, Out>{before, out, p.columns});
    } else if (k == 0) {
      MultiplyBlock(p, blocks, begin, end, Place<Out, float>{before, partial, p.columns});
    } else if (!last) {
      MultiplyBlock(p, blocks, begin, end, Place<float, float>{partial, partial, p.columns});
    } else {
      MultiplyBlock(p, blocks, begin, end, Place<float, Out>{partial, out, p.columns});
    }
  }
}

#else

template <typename T, typename Out>
void MultiplyBlocks(const PackedProduct<T, Out>&, int64_t, int64_t, float*) {
  BE_CHECK(false, "no AVX-512 here");
}

#endif

}  // namespace

template <>
bool HasPackedProduct<float>() {
  return CpuFeaturesOfThisMachine().avx512;
}
template <>
bool HasPackedProduct<BFloat16>() {
  return CpuFeaturesOfThisMachine().avx512_bfloat16;
}

template <typename T, typename Out>
int64_t PackedProductScratch(const PackedProduct<T, Out>& product, int64_t rows) {
  const int64_t packed = kDepthWords * (kBlockRows + kBlockColumns);
  const bool partial = !std::is_same_v<Out, float> && BlockDepth<T>(product.depth) < product.depth;
  return partial ? packed + rows * product.columns : packed;
}
template int64_t PackedProductScratch(const PackedProduct<float>&, int64_t);
template int64_t PackedProductScratch(const PackedProduct<BFloat16>&, int64_t);
template int64_t PackedProductScratch(const PackedProduct<BFloat16, BFloat16>&, int64_t);

void Multiply(const PackedProduct<float>& product, int64_t begin, int64_t end, float* scratch) {
  MultiplyBlocks(product, begin, end, scratch);
}
void Multiply(const PackedProduct<BFloat16>& product, int64_t begin, int64_t end, float* scratch) {
  MultiplyBlocks(product, begin, end, scratch);
}
void Multiply(const PackedProduct<BFloat16, BFloat16>& product, int64_t begin, int64_t end,
              float* scratch) {
  MultiplyBlocks(product, begin, end, scratch);
}

}  // namespace breakeven
