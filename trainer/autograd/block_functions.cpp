#include "trainer/autograd/block_functions.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>

#include "trainer/autograd/gradient_sink.h"
#include "trainer/autograd/row_kernels.h"

namespace breakeven {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows of a chunk: the unit of parallel work, and of partial sums of weight gradients, so that
// their order of addition does not depend on the number of threads.
constexpr int64_t kChunkRows = 32;

bool HasFusedKernel(const at::Tensor& tensor) {
  return tensor.is_cpu() && tensor.scalar_type() == at::kFloat;
}

int64_t NumChunks(int64_t rows) { return (rows + kChunkRows - 1) / kChunkRows; }

template <typename Body>  // body(begin_row, end_row, chunk)
void ForEachChunk(int64_t rows, const Body& body) {
  at::parallel_for(0, NumChunks(rows), 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      body(chunk * kChunkRows, std::min(rows, (chunk + 1) * kChunkRows), chunk);
    }
  });
}

// Sum of the chunks' parts [chunks, C], in order: into .grad where defined, else returned.
at::Tensor DeliverPartialSums(const at::Tensor& parts, const at::Tensor& parameter) {
  const int64_t width = parts.size(1);
  const bool owns = OwnsGradient(parameter);
  at::Tensor sink = owns ? parameter.grad() : at::zeros_like(parameter);
  for (int64_t chunk = 0; chunk < parts.size(0); ++chunk) {
    AddTo(sink.mutable_data_ptr<float>(), parts.const_data_ptr<float>() + chunk * width, width);
  }
  return owns ? at::Tensor() : sink;
}

class ResidualNormFunction : public torch::autograd::Function<ResidualNormFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& residual_TC,
                               const std::optional<at::Tensor>& update_TC,
                               const at::Tensor& weight_C, const std::optional<at::Tensor>& bias_C,
                               int64_t kind, double epsilon) {
    const int64_t num_rows = residual_TC.size(0);
    const at::Tensor residual = residual_TC.contiguous();
    const at::Tensor update = update_TC.has_value() ? update_TC->contiguous() : at::Tensor();
    const at::Tensor sum_TC = update.defined() ? at::empty_like(residual) : residual;
    const at::Tensor normed_TC = at::empty_like(residual);
    const at::Tensor mean_T = at::empty({num_rows}, residual.options());
    const at::Tensor inverse_T = at::empty({num_rows}, residual.options());
    const NormForwardRows rows = {
        .kind = static_cast<NormKind>(kind),
        .row_length = residual.size(1),
        .epsilon = static_cast<float>(epsilon),
        .residual = residual.const_data_ptr<float>(),
        .update = update.defined() ? update.const_data_ptr<float>() : nullptr,
        .weight = weight_C.const_data_ptr<float>(),
        .bias = bias_C.has_value() ? bias_C->const_data_ptr<float>() : nullptr,
        .sum = update.defined() ? sum_TC.mutable_data_ptr<float>() : nullptr,
        .normed = normed_TC.mutable_data_ptr<float>(),
        .mean = mean_T.mutable_data_ptr<float>(),
        .inverse_deviation = inverse_T.mutable_data_ptr<float>()};
    ForEachChunk(num_rows,
                 [&](int64_t begin, int64_t end, int64_t) { NormForward(rows, begin, end); });
    ctx->set_materialize_grads(false);
    ctx->saved_data["kind"] = kind;
    ctx->saved_data["has_update"] = update.defined();
    ctx->save_for_backward({sum_TC, weight_C, bias_C.value_or(at::Tensor()), mean_T, inverse_T});
    return {sum_TC, normed_TC};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& sum_TC = saved[0];
    const at::Tensor& bias_C = saved[2];
    const int64_t num_rows = sum_TC.size(0);
    const at::Tensor grad_sum =
        grad_outputs[0].defined() ? grad_outputs[0].contiguous() : at::Tensor();
    const at::Tensor grad_normed =
        grad_outputs[1].defined() ? grad_outputs[1].contiguous() : at::zeros_like(sum_TC);
    const at::Tensor grad_input = at::empty_like(sum_TC);
    const at::Tensor weight_parts =
        at::zeros({NumChunks(num_rows), sum_TC.size(1)}, sum_TC.options());
    const at::Tensor bias_parts = bias_C.defined() ? at::zeros_like(weight_parts) : at::Tensor();
    const NormBackwardRows rows = {
        .kind = static_cast<NormKind>(ctx->saved_data["kind"].toInt()),
        .row_length = sum_TC.size(1),
        .sum = sum_TC.const_data_ptr<float>(),
        .mean = saved[3].const_data_ptr<float>(),
        .inverse_deviation = saved[4].const_data_ptr<float>(),
        .weight = saved[1].const_data_ptr<float>(),
        .grad_normed = grad_normed.const_data_ptr<float>(),
        .grad_sum = grad_sum.defined() ? grad_sum.const_data_ptr<float>() : nullptr,
        .grad_input = grad_input.mutable_data_ptr<float>()};
    float* weight_sums = weight_parts.mutable_data_ptr<float>();
    float* bias_sums = bias_C.defined() ? bias_parts.mutable_data_ptr<float>() : nullptr;
    ForEachChunk(num_rows, [&](int64_t begin, int64_t end, int64_t chunk) {
      NormBackward(rows, begin, end, weight_sums + chunk * rows.row_length,
                   bias_sums == nullptr ? nullptr : bias_sums + chunk * rows.row_length);
    });
    const bool has_update = ctx->saved_data["has_update"].toBool();
    return {grad_input,
            has_update ? grad_input : at::Tensor(),
            DeliverPartialSums(weight_parts, saved[1]),
            bias_C.defined() ? DeliverPartialSums(bias_parts, bias_C) : at::Tensor(),
            at::Tensor(),
            at::Tensor()};
  }
};

class SwiGluFunction : public torch::autograd::Function<SwiGluFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate_up_T2F) {
    const at::Tensor gate_up = gate_up_T2F.contiguous();
    const int64_t width = gate_up.size(1) / 2;
    const at::Tensor out_TF = at::empty({gate_up.size(0), width}, gate_up.options());
    ctx->save_for_backward({gate_up});
    const float* in = gate_up.const_data_ptr<float>();
    float* out = out_TF.mutable_data_ptr<float>();
    ForEachChunk(gate_up.size(0), [=](int64_t begin, int64_t end, int64_t) {
      SwiGluForward(in, out, width, begin, end);
    });
    return out_TF;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    const at::Tensor gate_up = ctx->get_saved_variables()[0];
    const at::Tensor grad_TF = grad_outputs[0].contiguous();
    const at::Tensor grad_gate_up = at::empty_like(gate_up);
    const int64_t width = grad_TF.size(1);
    const float* in = gate_up.const_data_ptr<float>();
    const float* grad = grad_TF.const_data_ptr<float>();
    float* out = grad_gate_up.mutable_data_ptr<float>();
    ForEachChunk(grad_TF.size(0), [=](int64_t begin, int64_t end, int64_t) {
      SwiGluBackward(in, grad, out, width, begin, end);
    });
    return {grad_gate_up};
  }
};

}  // namespace

ResidualNormResult ResidualNorm(const at::Tensor& residual_TC, const at::Tensor& update_TC,
                                const NormWeights& norm) {
  if (!HasFusedKernel(residual_TC)) return ResidualNormComposite(residual_TC, update_TC, norm);
  const std::optional<at::Tensor> update =
      update_TC.defined() ? std::optional<at::Tensor>(update_TC) : std::nullopt;
  const std::optional<at::Tensor> bias =
      norm.bias_C.defined() ? std::optional<at::Tensor>(norm.bias_C) : std::nullopt;
  variable_list outputs = ResidualNormFunction::apply(
      residual_TC, update, norm.weight_C, bias, static_cast<int64_t>(norm.kind), norm.epsilon);
  return {outputs[0], outputs[1]};
}

ResidualNormResult ResidualNormComposite(const at::Tensor& residual_TC, const at::Tensor& update_TC,
                                         const NormWeights& norm) {
  const at::Tensor sum_TC = update_TC.defined() ? residual_TC + update_TC : residual_TC;
  if (norm.kind == NormKind::kLayer) {
    return {sum_TC,
            at::layer_norm(sum_TC, {sum_TC.size(1)}, norm.weight_C, norm.bias_C, norm.epsilon)};
  }
  const at::Tensor mean_square_T1 = sum_TC.pow(2).mean(-1, /*keepdim=*/true);
  return {sum_TC, sum_TC * (mean_square_T1 + norm.epsilon).rsqrt() * norm.weight_C};
}

at::Tensor SwiGlu(const at::Tensor& gate_up_T2F) {
  return HasFusedKernel(gate_up_T2F) ? SwiGluFunction::apply(gate_up_T2F)
                                     : SwiGluComposite(gate_up_T2F);
}

at::Tensor SwiGluComposite(const at::Tensor& gate_up_T2F) {
  const std::vector<at::Tensor> halves = gate_up_T2F.chunk(2, 1);
  return at::silu(halves[0]) * halves[1];
}

}  // namespace breakeven
