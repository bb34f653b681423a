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
// themselves and handed autograd nothing (model.h, "Gradients"). On CPU the call comes on the
// thread that runs backward; an exception of `ready` ends the backward and is rethrown by it. The
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
