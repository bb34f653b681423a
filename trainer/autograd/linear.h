// Matrix products whose weight gradients go straight into the gradient buffer. Needs ATen only.
//
// Shape suffixes: T tokens, I input features, O output features (of all parts together), V
// vocabulary rows, C row size.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_LINEAR_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_LINEAR_H_

#include <ATen/ATen.h>

#include <vector>

namespace breakeven {

// One or more parameters that are applied to the same input, such as q, k and v. Parts that lie
// next to each other in the flat buffer are one matrix to the product; others are concatenated
// first.
struct LinearWeights {
  std::vector<at::Tensor> weights;  // leaves; [O_i, I], or [I, O_i] when input_major
  std::vector<at::Tensor> biases;   // leaves [O_i], one for each part, or empty
  bool input_major = false;         // GPT-2's "Conv1D" layout; one part only
};

// x_TI · Wᵀ + b: [T, O], O in the order of the parts. Gradient contract: fused_head_loss.h.
at::Tensor Linear(const at::Tensor& x_TI, const LinearWeights& parameters);

// Rows tokens_T (int64) of table_VC: [T, C]. The gradient touches only the rows that were looked
// up. Error(kInternal) for a token outside [0, V).
at::Tensor Embedding(const at::Tensor& tokens_T, const at::Tensor& table_VC);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_LINEAR_H_
