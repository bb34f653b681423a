#include "trainer/autograd/gradient_hooks.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <utility>

#include "comm/base/error.h"

namespace breakeven {
namespace {

using torch::autograd::variable_list;
// std::shared_ptr up to torch 2.12, c10::intrusive_ptr since: the name of the type is left to the
// compiler.
using NodePointer = decltype(torch::autograd::impl::grad_accumulator(at::Tensor()));

}  // namespace

struct GradientHooks::Impl {
  std::function<void(size_t)> ready;
  // A parameter holds its accumulator only weakly; it must live for its hooks to live.
  std::vector<NodePointer> accumulators;
  std::vector<uintptr_t> keys;
};

GradientHooks::GradientHooks(const std::vector<at::Tensor>& parameters,
                             std::function<void(size_t)> ready)
    : impl_(std::make_unique<Impl>()) {
  impl_->ready = std::move(ready);
  for (size_t i = 0; i < parameters.size(); ++i) {
    NodePointer accumulator = torch::autograd::impl::grad_accumulator(parameters[i]);
    BE_CHECK(accumulator, "parameter " + std::to_string(i) + " is no leaf that requires gradients");
    impl_->keys.push_back(
        accumulator->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(
            [impl = impl_.get(), i](const variable_list& outputs, const variable_list&) {
              impl->ready(i);
              return outputs;
            })));
    impl_->accumulators.push_back(std::move(accumulator));
  }
}

GradientHooks::~GradientHooks() {
  for (size_t i = 0; i < impl_->accumulators.size(); ++i) {
    impl_->accumulators[i]->del_post_hook(impl_->keys[i]);
  }
}

}  // namespace breakeven
