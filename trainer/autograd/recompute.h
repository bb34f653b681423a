// Activation checkpointing (Chen et al., "Training deep nets with sublinear memory cost", 2016): what
// backward needs is computed again instead of kept. The same kernels on the same input: the same
// bits. Needs ATen only.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_RECOMPUTE_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_RECOMPUTE_H_

#include <ATen/ATen.h>
#include <ATen/core/ivalue.h>

#include <functional>

namespace breakeven {

// body(input), of which only `input` is kept; backward runs `body` a second time, with gradients, and
// through it. Parameters that `body` uses get their gradients then, and their hooks run, once. What
// `body` refers to must outlive the backward. `input` must require a gradient.
at::Tensor Recomputed(const std::function<at::Tensor(const at::Tensor&)>& body,
                      const at::Tensor& input);

// A function that makes a tensor again, in the form that AutogradContext::saved_data takes; it must
// capture detached tensors only.
at::IValue HoldRecipe(std::function<at::Tensor()> recipe);
at::Tensor FollowRecipe(const at::IValue& held);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_RECOMPUTE_H_
