#include "trainer/autograd/recompute.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

#include "comm/base/error.h"

namespace breakeven {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Body = std::function<at::Tensor(const at::Tensor&)>;

template <typename Function>
struct Holder : torch::CustomClassHolder {
  explicit Holder(Function f) : function(std::move(f)) {}
  Function function;
};

template <typename Function>
at::IValue Hold(Function function) {
  return at::IValue::make_capsule(c10::make_intrusive<Holder<Function>>(std::move(function)));
}

template <typename Function>
const Function& Held(const at::IValue& value) {
  return static_cast<const Holder<Function>&>(*value.toCapsule()).function;
}

class RecomputedFunction : public torch::autograd::Function<RecomputedFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& input, const Body& body) {
    ctx->save_for_backward({input});
    ctx->saved_data["body"] = Hold(body);
    return body(input);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    const at::AutoGradMode with_gradients(true);
    const at::Tensor input = ctx->get_saved_variables()[0].detach().requires_grad_(true);
    const at::Tensor output = Held<Body>(ctx->saved_data["body"])(input);
    ctx->saved_data.erase("body");
    torch::autograd::backward({output}, {grad_outputs[0]});
    return {input.grad(), at::Tensor()};
  }
};

}  // namespace

at::Tensor Recomputed(const Body& body, const at::Tensor& input) {
  BE_CHECK(input.requires_grad(), "nothing would start the backward of what is recomputed");
  return RecomputedFunction::apply(input, body);
}

at::IValue HoldRecipe(std::function<at::Tensor()> recipe) { return Hold(std::move(recipe)); }

at::Tensor FollowRecipe(const at::IValue& held) {
  const at::NoGradGuard no_gradients;
  return Held<std::function<at::Tensor()>>(held)();
}

}  // namespace breakeven
