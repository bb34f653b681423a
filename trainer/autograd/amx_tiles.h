// Pure. The kernel of bfloat16 products on processors that have AMX: tiles of 16 rows of 64 bytes, of which one instruction
// multiplies two. Sums are float32; subnormal inputs and results count as zero, as in AVX512-BF16.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_AMX_TILES_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_AMX_TILES_H_

#if defined(__x86_64__)

#include "trainer/autograd/pack_lines.h"

#define BE_AMX __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16,amx-tile,amx-bf16")))

namespace breakeven {

// Of the calling thread: its tiles have their full size from here on, and none is kept for it afterwards.
class AmxScope {
 public:
  BE_AMX AmxScope() {
    struct alignas(64) Config {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    };
    static const Config config;
    _tile_loadconfig(&config);
  }
  BE_AMX ~AmxScope() { _tile_release(); }
  AmxScope(const AmxScope&) = delete;
  AmxScope& operator=(const AmxScope&) = delete;
};

// sums[r · 32 + c] of 32 rows and 32 columns. `left`: two bands of squares (PackBySquares), `right`: a panel of 32 columns
// (PackByWords), both of `words`, a multiple of 16. Four tiles of sums: each that is loaded serves two products. Needs an AmxScope.
BE_AMX inline void MultiplyAmxTiles(const uint32_t* left, const uint32_t* right, int64_t words,
                                    float* sums) {
  constexpr int64_t kSquareRow = 64, kPanelRow = 128;  // bytes
  const uint32_t* const below = left + 16 * words;
  __asm__ volatile("" ::: "memory");  // g++'s intrinsics do not say that they read memory
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t w = 0; w < words; w += 16) {
    _tile_loadd(4, left + 16 * w, kSquareRow);
    _tile_loadd(6, right + 32 * w, kPanelRow);
    _tile_loadd(7, right + 32 * w + 16, kPanelRow);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, below + 16 * w, kSquareRow);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, sums, kPanelRow);
  _tile_stored(1, sums + 16, kPanelRow);
  _tile_stored(2, sums + 16 * 32, kPanelRow);
  _tile_stored(3, sums + 16 * 32 + 16, kPanelRow);
}

}  // namespace breakeven

#endif  // __x86_64__

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_AMX_TILES_H_
