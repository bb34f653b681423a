// Tells when a parameter's gradient of one backward pass is complete.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_GRADIENT_HOOKS_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_GRADIENT_HOOKS_H_

#include <ATen/ATen.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

namespace breakeven {

// Calls `ready(i)` once per backward pass in which parameters[i] takes part, after its last
// contribution (also for a tied embedding) and also where custom functions added into .grad
// themselves and handed autograd nothing (model.h, "Gradients"). On CPU the calls come on the
// thread that runs backward. On a GPU autograd has a thread of its own for the device and takes what
// has no gradient to hand on, as ours do, back to the calling thread; where a backward runs inside a
// backward (recompute.h) the device's thread makes the calls. So they may come from two threads at
// once: `ready` must lock. Whichever it is, the kernels that complete the gradient are in the stream by
// then. An exception of `ready` ends the backward and is rethrown by it. The
// parameters must be leaves that require gradients. Not to be destroyed during a backward.
class GradientHooks {
 public:
  GradientHooks(const std::vector<at::Tensor>& parameters, std::function<void(size_t)> ready);
  ~GradientHooks();
  GradientHooks(const GradientHooks&) = delete;
  GradientHooks& operator=(const GradientHooks&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_GRADIENT_HOOKS_H_
