// Pure.
#include "trainer/autograd/packed_product.h"

#include <algorithm>
#include <type_traits>

#include "comm/base/error.h"
#include "trainer/autograd/amx_tiles.h"
#include "trainer/autograd/pack_lines.h"
#include "trainer/cpu_features.h"

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
constexpr int64_t kBlockRows = 16 * kTileRows;  // whole tiles of AMX, too

constexpr int64_t Ceiling(int64_t count, int64_t unit) { return (count + unit - 1) / unit; }

template <typename T>
constexpr int64_t kElementsOfWord = 4 / static_cast<int64_t>(sizeof(T));

// Blocks of about equal depth, of whole units.
template <typename T>
int64_t BlockDepth(int64_t depth, int64_t unit) {
  const int64_t blocks = Ceiling(depth, kDepthWords * kElementsOfWord<T>);
  return Ceiling(Ceiling(depth, std::max<int64_t>(1, blocks)), unit) * unit;
}

#if defined(__x86_64__)

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

// The kernels: each says how the left side's rows are packed, and what it makes of kRows rows and a panel of the right side.
struct VectorTiles {
  static constexpr int64_t kRows = kTileRows;
  static constexpr int64_t kWords = 1;      // a depth is filled up to a multiple of so many words
  static constexpr int64_t kDepthUnit = 2;  // elements of which the blocks of a depth are multiples
  template <typename T>
  static void PackLeft(const ProductSide<T>& side, int64_t row, int64_t rows, int64_t k,
                       int64_t depth, int64_t words, uint32_t* to) {
    PackPanels(side, row, rows, k, depth, words, kTileRows, to);
  }
  template <typename T, typename From, typename To>
  static void Multiply(int64_t rows, const uint32_t* left, const uint32_t* right, int64_t words,
                       const Place<From, To>& place, int64_t columns) {
    TileOf<T>(rows, left, right, words, place, columns);
  }
};

struct AmxTiles {
  static constexpr int64_t kRows = 32;
  static constexpr int64_t kWords = 16;
  static constexpr int64_t kDepthUnit = 32;
  static_assert(kBlockRows % kRows == 0 && kDepthWords % kWords == 0);
  template <typename T>
  BE_AVX512 static void PackLeft(const ProductSide<T>& side, int64_t row, int64_t rows, int64_t k,
                                 int64_t depth, int64_t words, uint32_t* to) {
    for (int64_t band = 0; band < Ceiling(rows, kRows) * kRows; band += 16, to += 16 * words) {
      PackBySquares(side, row + band, std::max<int64_t>(0, rows - band), k, depth, words, to);
    }
  }
  template <typename T, typename From, typename To>
  BE_AVX512 static void Multiply(int64_t rows, const uint32_t* left, const uint32_t* right,
                                 int64_t words, const Place<From, To>& place, int64_t columns) {
    alignas(64) float sums[kRows * kTileColumns];
    MultiplyAmxTiles(left, right, words, sums);
    const __mmask16 masks[2] = {FirstLanes(columns), FirstLanes(columns - 16)};
    for (int64_t r = 0; r < rows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) {
        const int64_t at = r * place.row + v * 16;
        __m512 sum = _mm512_load_ps(sums + r * kTileColumns + v * 16);
        if (place.from != nullptr) sum = _mm512_add_ps(sum, LoadSums(place.from + at, masks[v]));
        StoreSums(place.to + at, masks[v], sum);
      }
    }
  }
};

// What is packed of both sides.
struct Blocks {
  uint32_t* left;
  uint32_t* right;
  int64_t depth_begin, depth, words;
};

// One block of depth, of rows [begin, end); `place` is that of the first element of row `begin`.
template <typename Tiles, typename T, typename Out, typename From, typename To>
void MultiplyBlock(const PackedProduct<T, Out>& p, const Blocks& blocks, int64_t begin, int64_t end,
                   const Place<From, To>& place) {
  const int64_t k = blocks.depth_begin, words = blocks.words;
  for (int64_t c = 0; c < p.columns; c += kBlockColumns) {
    const int64_t columns = std::min(kBlockColumns, p.columns - c);
    PackPanels(p.right, c, columns, k, blocks.depth, words, kTileColumns, blocks.right);
    for (int64_t r = begin; r < end; r += kBlockRows) {
      const int64_t rows = std::min(kBlockRows, end - r);
      Tiles::PackLeft(p.left, r, rows, k, blocks.depth, words, blocks.left);
      for (int64_t tile = 0; tile < rows; tile += Tiles::kRows) {
        for (int64_t panel = 0; panel < columns; panel += kTileColumns) {
          const int64_t at = (r - begin + tile) * p.columns + c + panel;
          Tiles::template Multiply<T>(
              std::min(Tiles::kRows, rows - tile), blocks.left + tile * words,
              blocks.right + panel * words, words,
              Place<From, To>{place.from == nullptr ? nullptr : place.from + at, place.to + at,
                              p.columns},
              columns - panel);
        }
      }
    }
  }
}

template <typename Tiles, typename T, typename Out>
void MultiplyBlocksBy(const PackedProduct<T, Out>& p, int64_t begin, int64_t end, float* scratch) {
  Blocks blocks{};
  blocks.left = reinterpret_cast<uint32_t*>(scratch);
  blocks.right = blocks.left + kDepthWords * kBlockRows;
  float* const partial = scratch + kDepthWords * (kBlockRows + kBlockColumns);
  Out* const out = p.out + begin * p.columns;
  const Out* const before = p.add ? out : nullptr;
  const int64_t step = BlockDepth<T>(p.depth, Tiles::kDepthUnit);
  const auto multiply = [&](const auto& place) {
    MultiplyBlock<Tiles>(p, blocks, begin, end, place);
  };
  for (int64_t k = 0; k < p.depth; k += step) {
    blocks.depth_begin = k;
    blocks.depth = std::min(step, p.depth - k);
    blocks.words = Ceiling(blocks.depth, kElementsOfWord<T> * Tiles::kWords) * Tiles::kWords;
    const bool last = k + step >= p.depth;
    if constexpr (std::is_same_v<Out, float>) {
      multiply(Place<float, float>{k > 0 ? out : before, out, p.columns});
    } else if (k == 0 && last) {
      multiply(Place<Out, Out>{before, out, p.columns});
    } else if (k == 0) {
      multiply(Place<Out, float>{before, partial, p.columns});
    } else if (!last) {
      multiply(Place<float, float>{partial, partial, p.columns});
    } else {
      multiply(Place<float, Out>{partial, out, p.columns});
    }
  }
}

template <typename T, typename Out>
void MultiplyBlocks(const PackedProduct<T, Out>& p, int64_t begin, int64_t end, float* scratch) {
  if constexpr (std::is_same_v<T, BFloat16>) {
    if (CpuFeaturesOfThisMachine().amx_bfloat16 && !p.vectors_only) {
      const AmxScope tiles;
      return MultiplyBlocksBy<AmxTiles>(p, begin, end, scratch);
    }
  }
  MultiplyBlocksBy<VectorTiles>(p, begin, end, scratch);
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
  return CpuFeaturesOfThisMachine().avx512_bfloat16;  // AMX comes with it
}

template <typename T, typename Out>
int64_t PackedProductScratch(const PackedProduct<T, Out>& product, int64_t rows) {
  const int64_t packed = kDepthWords * (kBlockRows + kBlockColumns);
  const bool partial =
      !std::is_same_v<Out, float> && product.depth > kDepthWords * kElementsOfWord<T>;
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
