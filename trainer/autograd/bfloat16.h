// Pure. A bfloat16 as the row kernels see it: the upper half of a float's bits. Same layout as
// at::BFloat16.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_BFLOAT16_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_BFLOAT16_H_

#include <cstdint>

namespace breakeven {

struct BFloat16 {
  uint16_t bits = 0;
};

// to[i] = from[i], rounded to nearest even; NaN stays NaN.
void ConvertToBFloat16(const float* from, BFloat16* to, int64_t count);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_BFLOAT16_H_
