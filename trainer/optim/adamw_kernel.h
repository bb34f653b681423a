// Pure. AdamW's update of a stretch of elements in one pass over memory.
#ifndef BREAKEVEN_TRAINER_OPTIM_ADAMW_KERNEL_H_
#define BREAKEVEN_TRAINER_OPTIM_ADAMW_KERNEL_H_

#include <cstdint>

#include "trainer/autograd/bfloat16.h"

namespace breakeven {

// Of one update; the same for all elements of a group. Rounded from double: 1 - beta2 of float values
// would be wrong in its fifth digit.
struct AdamWFactors {
  float gradient = 1;   // clipping: what gradients are multiplied by
  float keep = 1;       // of the weight: 1 - learning rate · weight decay
  float new_avg = 0;    // 1 - beta1
  float keep_sq = 0;    // beta2
  float new_sq = 0;     // 1 - beta2
  float step_size = 0;  // learning rate / (1 - beta1^t)
  float deviation = 1;  // 1 / √(1 - beta2^t)
  float epsilon = 0;
};

// Elements in their buffers; none overlaps another.
struct AdamWElements {
  float* weight = nullptr;
  const float* gradient = nullptr;
  float* exp_avg = nullptr;
  float* exp_avg_sq = nullptr;
  BFloat16* copy = nullptr;  // of the new weight, rounded to nearest even; nullptr: none is kept
};

// An element's result depends on that element alone: cut where you like, it is the same bits.
void UpdateAdamW(const AdamWElements& elements, int64_t count, const AdamWFactors& factors);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_OPTIM_ADAMW_KERNEL_H_
