// The language-model head and its loss in one differentiable step. Needs ATen only.
//
// Shape suffixes: T tokens, R rows whose weight is not zero, C hidden size, V vocabulary rows.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_FUSED_HEAD_LOSS_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_FUSED_HEAD_LOSS_H_

#include <ATen/ATen.h>

#include "trainer/autograd/gradient_sink.h"

namespace breakeven {

// Σ_t loss_weight[t] · cross_entropy(hidden[t] · headᵀ, targets[t]) / normalizer, a float32 scalar.
//
//   hidden_TC      float32 or bfloat16, contiguous
//   head_VC        float32, a leaf (the tied embedding or its own matrix)
//   targets_T      int64 in [0, V) where the weight is not zero
//   loss_weight_T  float32
//   head_copy_VC   with bfloat16 hidden states: the head in bfloat16, which the products read
//
// Logits have the type of the hidden states; softmax, loss and the head's gradient are float32.
// Rows of zero weight never meet the head on CPUs (aten_paths.h says why they do on GPUs: leave them out
// there). The remaining rows pass in chunks; with gradients on,
// each chunk's hidden and head gradients are computed at once in the forward pass (Liger Kernel's
// idea), so no logits stay alive. All rows zero, or T = 0: the loss is 0 and so are the gradients.
//
// Gradient contract (of this and of every function in trainer/autograd): where the parameter's
// .grad is defined, the gradient is ADDED into that tensor, or replaces it where the parameter's
// GradientSink says so — for this function already during the forward pass — and none is handed to
// autograd; where it is undefined, autograd receives the gradient as usual. Because the head's gradient is finished before backward starts, the loss must
// be the root of backward with gradient 1 (scale through `normalizer`); anything else is
// Error(kInternal), on CPUs.
at::Tensor FusedHeadLoss(const at::Tensor& hidden_TC, const at::Tensor& head_VC,
                         const at::Tensor& targets_T, const at::Tensor& loss_weight_T,
                         double normalizer, const at::Tensor& head_copy_VC = {},
                         GradientSink* sink = nullptr);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_FUSED_HEAD_LOSS_H_
