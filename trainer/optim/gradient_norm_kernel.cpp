// Pure.
#include "trainer/optim/gradient_norm_kernel.h"

#include <algorithm>

#include "comm/base/vectorised.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // all is inlined: no vector crosses a call

namespace breakeven {
namespace {

constexpr int kLanes = 8;
constexpr int kSums = 4;  // additions that do not wait for each other
typedef float Floats __attribute__((vector_size(32)));
typedef double Doubles __attribute__((vector_size(64)));

BE_INLINE double SumSquares(const float* data, int64_t count) {
  Doubles sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums * kLanes <= count; i += kSums * kLanes) {
    for (int k = 0; k < kSums; ++k) {
      Floats floats;
      __builtin_memcpy(&floats, data + i + k * kLanes, sizeof(floats));
      const Doubles values = __builtin_convertvector(floats, Doubles);
      sums[k] += values * values;
    }
  }
  const Doubles lanes = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  double total = 0;
  for (int lane = 0; lane < kLanes; ++lane) total += lanes[lane];
  for (; i < count; ++i) total += static_cast<double>(data[i]) * data[i];
  return total;
}

}  // namespace

BE_VECTORISED void SumSquaresOfBlocks(const float* data, int64_t count, int64_t block,
                                      double* sums) {
  for (int64_t begin = 0; begin < count; begin += block) {
    *sums++ = SumSquares(data + begin, std::min(block, count - begin));
  }
}

}  // namespace breakeven
