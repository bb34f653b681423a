// Pure. Residual addition and normalisation of rows in one pass, forward and backward.
//
// C: row length. Rows are contiguous and apart from each other unless said otherwise.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_NORM_KERNELS_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_NORM_KERNELS_H_

#include <cstdint>

#include "trainer/autograd/bfloat16.h"

namespace breakeven {

// RMS norm has no bias: nullptr. Layer norm subtracts the mean.
enum class NormKind { kRms, kLayer };

// T, float or BFloat16: what sub-blocks take and give. The residual stream, the statistics and the
// weights are float32 always.
template <typename T>
struct NormForwardRows {
  NormKind kind = NormKind::kRms;
  int64_t row_length = 0;
  float epsilon = 0;
  const float* residual = nullptr;  // [rows, C]
  const T* update = nullptr;        // [rows, C], or nullptr: nothing to add
  const float* weight = nullptr;    // [C]
  const float* bias = nullptr;      // [C] or nullptr
  float* sum = nullptr;   // [rows, C] residual + update; not written when update is nullptr
  T* normed = nullptr;    // [rows, C]
  float* mean = nullptr;  // [rows]; layer norm only
  float* inverse_deviation = nullptr;  // [rows]
};
// Rows [begin, end) of all arrays.
void NormForward(const NormForwardRows<float>& rows, int64_t begin, int64_t end);
void NormForward(const NormForwardRows<BFloat16>& rows, int64_t begin, int64_t end);

template <typename T>
struct NormBackwardRows {
  NormKind kind = NormKind::kRms;
  int64_t row_length = 0;
  const float* sum = nullptr;  // as the forward pass left them
  const float* mean = nullptr;
  const float* inverse_deviation = nullptr;
  const float* weight = nullptr;
  const T* grad_normed = nullptr;   // [rows, C]
  const float* grad_sum = nullptr;  // [rows, C] what comes down the residual stream, or nullptr
  float* grad_input = nullptr;      // [rows, C] for the residual; may be grad_sum
  T* grad_update = nullptr;  // [rows, C] the same in the update's type, or nullptr: not wanted
};
// Rows [begin, end); adds what these rows give into grad_weight [C] and, unless nullptr, grad_bias
// [C].
void NormBackward(const NormBackwardRows<float>& rows, int64_t begin, int64_t end,
                  float* grad_weight, float* grad_bias);
void NormBackward(const NormBackwardRows<BFloat16>& rows, int64_t begin, int64_t end,
                  float* grad_weight, float* grad_bias);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_NORM_KERNELS_H_
