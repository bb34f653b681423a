// Matrix products whose weight gradients go straight into the gradient buffer. Needs ATen only.
//
// Shape suffixes: T tokens, I input features, O output features (of all parts together), V
// vocabulary rows, C row size.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_LINEAR_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_LINEAR_H_

#include <ATen/ATen.h>

#include <functional>
#include <vector>

#include "trainer/autograd/gradient_sink.h"

namespace breakeven {

// One or more parameters that are applied to the same input, such as q, k and v. Parts that lie
// next to each other in the flat buffer are one matrix to the product; others are concatenated
// first.
struct LinearWeights {
  std::vector<at::Tensor> weights;  // leaves; [O_i, I], or [I, O_i] when input_major
  std::vector<at::Tensor> biases;   // leaves [O_i], one for each part, or empty
  // What the products read instead: bfloat16 copies, in the same places of another flat buffer. Empty:
  // the float32 weights themselves.
  std::vector<at::Tensor> weight_copies;
  std::vector<at::Tensor> bias_copies;
  bool input_major = false;  // GPT-2's "Conv1D" layout; one part only
  GradientSink* sink = nullptr;
};

// x_TI · Wᵀ + b: [T, O], O in the order of the parts, in x's type, which is that of what the
// products read. Gradient contract: fused_head_loss.h; gradients of weights are float32 always. With
// `input_again`, which returns x_TI once more (recompute.h), backward asks it instead of keeping x_TI.
at::Tensor Linear(const at::Tensor& x_TI, const LinearWeights& parameters,
                  const std::function<at::Tensor()>& input_again = {});

// A lookup's gradient as rows: row tokens_T[t] of the table gets grad_TC[t]. While `armed` is set, a
// backward leaves them here instead of adding them to the table's gradient, so that the table can be
// reduced before they exist. Undefined where no backward came by.
struct LookupGradient {
  bool armed = false;
  at::Tensor tokens_T;
  at::Tensor grad_TC;
};

// Rows tokens_T (int64) of table_VC: [T, C]. The gradient touches only the rows that were looked
// up, so a table whose gradient is to be replaced is zeroed then. `rows` and `sink` may be null and must
// otherwise outlive the backward. Error(kInternal) for a token outside [0, V).
at::Tensor Embedding(const at::Tensor& tokens_T, const at::Tensor& table_VC,
                     LookupGradient* rows = nullptr, GradientSink* sink = nullptr);

// Rows rows_R (int64, ascending, no doubles) of x_TC: [R, C].
at::Tensor SelectRows(const at::Tensor& x_TC, const at::Tensor& rows_R);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_LINEAR_H_
