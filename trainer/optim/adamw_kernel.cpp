// Pure.
#include "trainer/optim/adamw_kernel.h"

#include <algorithm>
#include <cmath>

#include "comm/base/vectorised.h"

namespace breakeven {
namespace {

// Copies are made of what is in the first-level cache.
constexpr int64_t kBlock = 512;

}  // namespace

// Plain loops: the compiler vectorises them, roots included, for each instruction set (CMakeLists.txt:
// -fno-math-errno). Factors by value and not through the reference: a store might change them.
BE_VECTORISED void UpdateAdamW(const AdamWElements& elements, int64_t count,
                               const AdamWFactors& factors) {
  const AdamWFactors f = factors;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t size = std::min(kBlock, count - begin);
    float* __restrict__ weight = elements.weight + begin;
    const float* __restrict__ gradient = elements.gradient + begin;
    float* __restrict__ exp_avg = elements.exp_avg + begin;
    float* __restrict__ exp_avg_sq = elements.exp_avg_sq + begin;
    for (int64_t i = 0; i < size; ++i) {
      const float g = gradient[i] * f.gradient;
      const float m = exp_avg[i] + f.new_avg * (g - exp_avg[i]);
      const float v = f.keep_sq * exp_avg_sq[i] + f.new_sq * (g * g);
      exp_avg[i] = m;
      exp_avg_sq[i] = v;
      weight[i] = f.keep * weight[i] - f.step_size * m / (std::sqrt(v) * f.deviation + f.epsilon);
    }
    if (elements.copy != nullptr) ConvertToBFloat16(weight, elements.copy + begin, size);
  }
}

}  // namespace breakeven
