// What the CPU kernels of this folder do, in plain ATen operations: the way of GPUs.
//
// Nothing here reads a tensor's memory or a value of it on the host, so nothing waits for the device.
// Sums and everything inside a function are float32 (float64 for float64 input); weight gradients are
// float32. Shape suffixes as in block_functions.h.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_ATEN_PATHS_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_ATEN_PATHS_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "trainer/autograd/block_functions.h"

namespace breakeven::aten_paths {

struct NormOutputs {
  at::Tensor sum_TC;     // residual + update
  at::Tensor normed_TC;  // norm.output_type
  at::Tensor mean_T;     // layer norm only
  at::Tensor inverse_T;  // 1 / deviation
};
// `update` may be undefined.
NormOutputs NormForward(const at::Tensor& residual_TC, const at::Tensor& update_TC,
                        const NormWeights& norm);

struct NormGradients {
  at::Tensor input_TC;  // of the residual and the update alike
  at::Tensor weight_C;
  at::Tensor bias_C;  // layer norm only
};
// `forward`: without normed_TC. The two gradients may be undefined: zero.
NormGradients NormBackward(const NormOutputs& forward, NormKind kind, const at::Tensor& weight_C,
                           const at::Tensor& grad_sum_TC, const at::Tensor& grad_normed_TC);

at::Tensor SwiGluForward(const at::Tensor& gate_up_T2F);
at::Tensor SwiGluBackward(const at::Tensor& gate_up_T2F, const at::Tensor& grad_TF);

// What attention keeps for its backward beside its input.
struct AttentionState {
  at::Tensor out_TX;
  at::Tensor log_sum_exp;  // [T, H]; of the flash kernel: [H, T]
  at::Tensor random;       // of the flash kernel, which wants it back though nothing is dropped
};
// On GPUs from Ampere on, bfloat16 takes ATen's flash kernel for packed segments: int32 starts_B
// [B+1] on the device, which is made (and waited for) where it is undefined. Everything else takes
// plain products over neighbouring segments of equal length: L² scores for each segment and head at a
// time, in float32.
AttentionState AttentionForward(const at::Tensor& qkv_TA, const RotaryAngles& angles,
                                const AttentionShape& shape, const std::vector<int64_t>& starts,
                                const at::Tensor& starts_B);
at::Tensor AttentionBackward(const at::Tensor& qkv_TA, const RotaryAngles& angles,
                             const AttentionShape& shape, const std::vector<int64_t>& starts,
                             const at::Tensor& starts_B, const AttentionState& state,
                             const at::Tensor& grad_out_TX);

// heads [T, n, D] turned by the angles [T, D/2]; direction -1: back. Undefined angles: as they are.
at::Tensor Rotated(const at::Tensor& heads_TnD, const RotaryAngles& angles, double direction = 1);

// fused_head_loss.h. Adds to grad_head_VC (or replaces it, where `overwrites`) and fills grad_hidden_TC
// where they are defined (both or none). A row of zero weight passes the head as well and counts for nothing: to find such rows the
// host would have to wait.
at::Tensor HeadLoss(const at::Tensor& hidden_TC, const at::Tensor& head_VC,
                    const at::Tensor& targets_T, const at::Tensor& loss_weight_T, double normalizer,
                    const at::Tensor& grad_head_VC, bool overwrites,
                    const at::Tensor& grad_hidden_TC);

}  // namespace breakeven::aten_paths

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_ATEN_PATHS_H_
