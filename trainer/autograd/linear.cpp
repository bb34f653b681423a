#include "trainer/autograd/linear.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cstdint>
#include <string>

#include "comm/base/error.h"
#include "trainer/autograd/element_type.h"
#include "trainer/autograd/gradient_sink.h"
#include "trainer/autograd/matrix_product.h"
#include "trainer/autograd/recompute.h"
#include "trainer/autograd/row_kernels.h"

namespace breakeven {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor JoinedOrCopied(at::TensorList parts) {
  at::Tensor joined = AdjacentView(parts);
  return joined.defined() ? joined : at::cat(parts);
}

// The gradients of the parameters as one tensor to add into, or undefined when autograd is to
// receive them.
at::Tensor JoinedGradients(at::TensorList parameters) {
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : parameters) {
    if (!OwnsGradient(parameter)) return {};
    gradients.push_back(parameter.grad());
  }
  return AdjacentView(gradients);
}

// Cuts `whole` along dimension 0 into the parameters' shapes: into .grad where that is defined, else
// returned.
void DealGradients(const at::Tensor& whole, at::TensorList parameters, bool overwrites,
                   variable_list& gradients) {
  int64_t begin = 0;
  for (const at::Tensor& parameter : parameters) {
    const at::Tensor part = whole.narrow(0, begin, parameter.size(0));
    begin += parameter.size(0);
    if (OwnsGradient(parameter)) {
      PutGradient(parameter.grad(), part, overwrites);
      gradients.emplace_back();
    } else {
      gradients.push_back(part);
    }
  }
}

class LinearFunction : public torch::autograd::Function<LinearFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_TI, at::TensorList weights,
                            at::TensorList biases, const LinearWeights& parameters,
                            const std::function<at::Tensor()>& input_again) {
    const bool copied = !parameters.weight_copies.empty();
    const at::Tensor weight = JoinedOrCopied(copied ? parameters.weight_copies : weights);
    variable_list saved = {input_again ? at::Tensor() : x_TI, weight};
    if (input_again) ctx->saved_data["input_again"] = HoldRecipe(input_again);
    saved.insert(saved.end(), weights.begin(), weights.end());
    saved.insert(saved.end(), biases.begin(), biases.end());
    ctx->save_for_backward(std::move(saved));
    ctx->saved_data["num_weights"] = static_cast<int64_t>(weights.size());
    ctx->saved_data["input_major"] = parameters.input_major;
    ctx->saved_data["sink"] = HoldSink(parameters.sink);

    const at::Tensor weight_IO = parameters.input_major ? weight : weight.t();
    if (biases.empty()) return Multiply(x_TI, weight_IO);
    const at::Tensor bias_O = JoinedOrCopied(copied ? parameters.bias_copies : biases);
    const at::Tensor out_TO = at::empty({x_TI.size(0), bias_O.size(0)}, x_TI.options());
    out_TO.copy_(bias_O);
    MultiplyInto(out_TO, x_TI, weight_IO, /*adds=*/true);
    return out_TO;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    const variable_list saved = ctx->get_saved_variables();
    const size_t num_weights = static_cast<size_t>(ctx->saved_data["num_weights"].toInt());
    const bool input_major = ctx->saved_data["input_major"].toBool();
    const at::Tensor& weight = saved[1];
    const at::TensorList weights = at::TensorList(saved).slice(2, num_weights);
    const at::TensorList biases = at::TensorList(saved).slice(2 + num_weights);
    const at::Tensor grad_TO = grad_outputs[0].contiguous();
    const bool overwrites = Overwrites(HeldSink(ctx->saved_data["sink"].toInt()));

    variable_list gradients(1);
    if (ctx->needs_input_grad(0)) {
      gradients[0] = Multiply(grad_TO, input_major ? weight.t() : weight);
    }
    WeightGradients(Input(ctx, saved[0], weights), grad_TO, weights, input_major, overwrites,
                    gradients);
    BiasGradients(grad_TO, biases, overwrites, gradients);
    gradients.resize(gradients.size() + 2);  // parameters, input_again
    return gradients;
  }

 private:
  static at::Tensor Input(AutogradContext* ctx, const at::Tensor& saved, at::TensorList weights) {
    const auto recipe = ctx->saved_data.find("input_again");
    if (recipe == ctx->saved_data.end()) return saved;
    const at::Tensor input =
        weights[0].requires_grad() ? FollowRecipe(recipe->second) : at::Tensor();
    ctx->saved_data.erase(recipe);
    return input;
  }

  static void WeightGradients(const at::Tensor& x_TI, const at::Tensor& grad_TO,
                              at::TensorList weights, bool input_major, bool overwrites,
                              variable_list& gradients) {
    if (!weights[0].requires_grad()) {
      gradients.resize(gradients.size() + weights.size());
      return;
    }
    const at::Tensor x = x_TI.contiguous();
    const at::Tensor& left = input_major ? x : grad_TO;
    const at::Tensor& right = input_major ? grad_TO : x;
    const at::Tensor sink = JoinedGradients(weights);
    if (sink.defined()) {
      MultiplyInto(sink, left.t(), right, !overwrites);
      gradients.resize(gradients.size() + weights.size());
    } else {
      const at::Tensor whole =
          at::empty({left.size(1), right.size(1)}, left.options().dtype(SumTypeOf(left)));
      MultiplyInto(whole, left.t(), right);
      DealGradients(whole, weights, overwrites, gradients);
    }
  }

  static void BiasGradients(const at::Tensor& grad_TO, at::TensorList biases, bool overwrites,
                            variable_list& gradients) {
    if (biases.empty()) return;
    if (!biases[0].requires_grad()) {
      gradients.resize(gradients.size() + biases.size());
      return;
    }
    DealGradients(grad_TO.sum(0, /*keepdim=*/false, at::kFloat), biases, overwrites, gradients);
  }
};

// sink[tokens[t]] += grad[t], in order of t: columns are shared out over threads, so any number of
// them gives the same bits.
void AddRows(const at::Tensor& tokens_T, const at::Tensor& grad_TC, at::Tensor& sink_VC) {
  if (!HasFusedKernel(sink_VC) || !sink_VC.is_contiguous() || sink_VC.scalar_type() != at::kFloat) {
    sink_VC.index_add_(0, tokens_T, grad_TC);
    return;
  }
  const int64_t num_tokens = tokens_T.size(0);
  const int64_t width = sink_VC.size(1);
  const int64_t* tokens = tokens_T.const_data_ptr<int64_t>();
  const float* grad = grad_TC.const_data_ptr<float>();
  float* sink = sink_VC.mutable_data_ptr<float>();
  const int64_t block = 64;  // columns: four cache lines, so that threads share none
  at::parallel_for(0, (width + block - 1) / block, 1, [=](int64_t begin, int64_t end) {
    const int64_t column = begin * block;
    const int64_t count = std::min(width, end * block) - column;
    for (int64_t t = 0; t < num_tokens; ++t) {
      AddTo(sink + tokens[t] * width + column, grad + t * width + column, count);
    }
  });
}

class EmbeddingFunction : public torch::autograd::Function<EmbeddingFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& tokens_T,
                            const at::Tensor& table_VC, LookupGradient* rows, GradientSink* sink) {
    ctx->save_for_backward({tokens_T, table_VC});
    ctx->saved_data["rows"] = static_cast<int64_t>(reinterpret_cast<intptr_t>(rows));
    ctx->saved_data["sink"] = HoldSink(sink);
    return table_VC.index_select(0, tokens_T);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& table_VC = saved[1];
    auto* rows =
        reinterpret_cast<LookupGradient*>(static_cast<intptr_t>(ctx->saved_data["rows"].toInt()));
    if (rows != nullptr && rows->armed) {
      BE_CHECK(!rows->grad_TC.defined(), "two lookups in one backward");
      rows->tokens_T = saved[0];
      rows->grad_TC = grad_outputs[0].contiguous();
      return {at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
    }
    const bool overwrites = Overwrites(HeldSink(ctx->saved_data["sink"].toInt()));
    const bool owns = OwnsGradient(table_VC);
    at::Tensor sink = owns ? table_VC.grad() : at::zeros_like(table_VC);
    if (owns && overwrites) sink.zero_();
    AddRows(saved[0], grad_outputs[0].contiguous(), sink);
    return {at::Tensor(), owns ? at::Tensor() : sink, at::Tensor(), at::Tensor()};
  }
};

class SelectRowsFunction : public torch::autograd::Function<SelectRowsFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_TC,
                            const at::Tensor& rows_R) {
    ctx->save_for_backward({rows_R});
    ctx->saved_data["num_rows"] = x_TC.size(0);
    return x_TC.index_select(0, rows_R);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    const at::Tensor rows_R = ctx->get_saved_variables()[0];
    const at::Tensor& grad_RC = grad_outputs[0];
    const at::Tensor grad_TC =
        at::zeros({ctx->saved_data["num_rows"].toInt(), grad_RC.size(1)}, grad_RC.options());
    grad_TC.index_copy_(0, rows_R, grad_RC);
    return {grad_TC, at::Tensor()};
  }
};

void CheckTokens(const at::Tensor& tokens_T, int64_t num_rows) {
  if (!tokens_T.is_cpu()) return;  // looking would wait for the device; its own kernel asserts
  const int64_t* tokens = tokens_T.const_data_ptr<int64_t>();
  for (int64_t t = 0; t < tokens_T.size(0); ++t) {
    BE_CHECK(tokens[t] >= 0 && tokens[t] < num_rows,
             "index " + std::to_string(tokens[t]) + " at token " + std::to_string(t) +
                 " of an embedding with " + std::to_string(num_rows) + " rows");
  }
}

}  // namespace

at::Tensor Linear(const at::Tensor& x_TI, const LinearWeights& parameters,
                  const std::function<at::Tensor()>& input_again) {
  const at::TensorList weights = parameters.weights;
  const at::TensorList biases = parameters.biases;
  return LinearFunction::apply(x_TI, weights, biases, parameters, input_again);
}

at::Tensor Embedding(const at::Tensor& tokens_T, const at::Tensor& table_VC, LookupGradient* rows,
                     GradientSink* sink) {
  const at::Tensor tokens = tokens_T.contiguous();
  CheckTokens(tokens, table_VC.size(0));
  return EmbeddingFunction::apply(tokens, table_VC, rows, sink);
}

at::Tensor SelectRows(const at::Tensor& x_TC, const at::Tensor& rows_R) {
  return SelectRowsFunction::apply(x_TC, rows_R);
}

}  // namespace breakeven
