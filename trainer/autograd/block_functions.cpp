#include "trainer/autograd/block_functions.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>

#include "trainer/autograd/aten_paths.h"
#include "trainer/autograd/element_type.h"
#include "trainer/autograd/gradient_sink.h"
#include "trainer/autograd/row_kernels.h"

namespace breakeven {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows of a chunk: the unit of parallel work, and of partial sums of weight gradients, so that
// their order of addition does not depend on the number of threads.
constexpr int64_t kChunkRows = 32;

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
at::Tensor DeliverPartialSums(const at::Tensor& parts, const at::Tensor& parameter,
                              bool overwrites) {
  const int64_t width = parts.size(1);
  const bool owns = OwnsGradient(parameter);
  at::Tensor sink = owns ? parameter.grad() : at::zeros_like(parameter);
  if (owns && overwrites) sink.zero_();
  for (int64_t chunk = 0; chunk < parts.size(0); ++chunk) {
    AddTo(sink.mutable_data_ptr<float>(), parts.const_data_ptr<float>() + chunk * width, width);
  }
  return owns ? at::Tensor() : sink;
}

// A whole gradient: into .grad where defined, else returned.
at::Tensor Deliver(const at::Tensor& gradient, const at::Tensor& parameter, bool overwrites) {
  if (!OwnsGradient(parameter)) return gradient;
  PutGradient(parameter.grad(), gradient, overwrites);
  return {};
}

class ResidualNormFunction : public torch::autograd::Function<ResidualNormFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& residual_TC,
                               const std::optional<at::Tensor>& update_TC,
                               const at::Tensor& weight_C, const std::optional<at::Tensor>& bias_C,
                               const NormWeights& norm) {
    const int64_t num_rows = residual_TC.size(0);
    const at::Tensor residual = residual_TC.contiguous();
    ctx->set_materialize_grads(false);
    ctx->saved_data["kind"] = static_cast<int64_t>(norm.kind);
    ctx->saved_data["output_type"] = norm.output_type;
    ctx->saved_data["has_update"] = update_TC.has_value();
    ctx->saved_data["sink"] = HoldSink(norm.sink);
    if (!HasFusedKernel(residual)) {
      const auto [sum_TC, normed_TC, mean_T, inverse_T] =
          aten_paths::NormForward(residual, update_TC.value_or(at::Tensor()), norm);
      ctx->save_for_backward({sum_TC, weight_C, bias_C.value_or(at::Tensor()), mean_T, inverse_T});
      return {sum_TC, normed_TC};
    }
    const at::Tensor update = update_TC.has_value() ? update_TC->contiguous() : at::Tensor();
    const at::Tensor sum_TC = update.defined() ? at::empty_like(residual) : residual;
    const at::Tensor normed_TC =
        at::empty(residual.sizes(), residual.options().dtype(norm.output_type));
    const at::Tensor mean_T = at::empty({num_rows}, residual.options());
    const at::Tensor inverse_T = at::empty({num_rows}, residual.options());
    WithElementType(norm.output_type, [&]<typename T>(T) {
      const NormForwardRows<T> rows = {
          .kind = norm.kind,
          .row_length = residual.size(1),
          .epsilon = static_cast<float>(norm.epsilon),
          .residual = ConstData<float>(residual),
          .update = ConstData<T>(update),
          .weight = ConstData<float>(weight_C),
          .bias = bias_C.has_value() ? ConstData<float>(*bias_C) : nullptr,
          .sum = update.defined() ? MutableData<float>(sum_TC) : nullptr,
          .normed = MutableData<T>(normed_TC),
          .mean = MutableData<float>(mean_T),
          .inverse_deviation = MutableData<float>(inverse_T)};
      ForEachChunk(num_rows,
                   [&](int64_t begin, int64_t end, int64_t) { NormForward(rows, begin, end); });
    });
    ctx->save_for_backward({sum_TC, weight_C, bias_C.value_or(at::Tensor()), mean_T, inverse_T});
    return {sum_TC, normed_TC};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &sum_TC = saved[0], &weight_C = saved[1], &bias_C = saved[2];
    const at::ScalarType type = ctx->saved_data["output_type"].toScalarType();
    const bool has_update = ctx->saved_data["has_update"].toBool();
    const bool overwrites = Overwrites(HeldSink(ctx->saved_data["sink"].toInt()));
    if (!HasFusedKernel(sum_TC)) {
      const aten_paths::NormGradients gradients = aten_paths::NormBackward(
          {sum_TC, {}, saved[3], saved[4]}, static_cast<NormKind>(ctx->saved_data["kind"].toInt()),
          weight_C, grad_outputs[0], grad_outputs[1]);
      return {gradients.input_TC, has_update ? gradients.input_TC.to(type) : at::Tensor(),
              Deliver(gradients.weight_C, weight_C, overwrites),
              bias_C.defined() ? Deliver(gradients.bias_C, bias_C, overwrites) : at::Tensor(),
              at::Tensor()};
    }
    const int64_t num_rows = sum_TC.size(0);
    const at::Tensor grad_sum =
        grad_outputs[0].defined() ? grad_outputs[0].contiguous() : at::Tensor();
    const at::Tensor grad_normed = grad_outputs[1].defined()
                                       ? grad_outputs[1].contiguous()
                                       : at::zeros(sum_TC.sizes(), sum_TC.options().dtype(type));
    const at::Tensor grad_input = at::empty_like(sum_TC);
    // In float32 one tensor serves the residual and the update.
    const bool apart = has_update && type != at::kFloat;
    const at::Tensor grad_update = apart ? at::empty_like(grad_normed) : at::Tensor();
    const at::Tensor weight_parts =
        at::zeros({NumChunks(num_rows), sum_TC.size(1)}, sum_TC.options());
    const at::Tensor bias_parts = bias_C.defined() ? at::zeros_like(weight_parts) : at::Tensor();
    WithElementType(type, [&]<typename T>(T) {
      const NormBackwardRows<T> rows = {
          .kind = static_cast<NormKind>(ctx->saved_data["kind"].toInt()),
          .row_length = sum_TC.size(1),
          .sum = ConstData<float>(sum_TC),
          .mean = ConstData<float>(saved[3]),
          .inverse_deviation = ConstData<float>(saved[4]),
          .weight = ConstData<float>(weight_C),
          .grad_normed = ConstData<T>(grad_normed),
          .grad_sum = ConstData<float>(grad_sum),
          .grad_input = MutableData<float>(grad_input),
          .grad_update = MutableData<T>(grad_update)};
      float* weight_sums = MutableData<float>(weight_parts);
      float* bias_sums = MutableData<float>(bias_parts);
      ForEachChunk(num_rows, [&](int64_t begin, int64_t end, int64_t chunk) {
        NormBackward(rows, begin, end, weight_sums + chunk * rows.row_length,
                     bias_sums == nullptr ? nullptr : bias_sums + chunk * rows.row_length);
      });
    });
    return {grad_input, has_update && !apart ? grad_input : grad_update,
            DeliverPartialSums(weight_parts, weight_C, overwrites),
            bias_C.defined() ? DeliverPartialSums(bias_parts, bias_C, overwrites) : at::Tensor(),
            at::Tensor()};
  }
};

class SwiGluFunction : public torch::autograd::Function<SwiGluFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate_up_T2F) {
    const at::Tensor gate_up = gate_up_T2F.contiguous();
    const int64_t width = gate_up.size(1) / 2;
    ctx->save_for_backward({gate_up});
    if (!HasFusedKernel(gate_up)) return aten_paths::SwiGluForward(gate_up);
    const at::Tensor out_TF = at::empty({gate_up.size(0), width}, gate_up.options());
    WithElementType(gate_up.scalar_type(), [&]<typename T>(T) {
      const T* in = ConstData<T>(gate_up);
      T* out = MutableData<T>(out_TF);
      ForEachChunk(gate_up.size(0), [=](int64_t begin, int64_t end, int64_t) {
        SwiGluForward(in, out, width, begin, end);
      });
    });
    return out_TF;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    const at::Tensor gate_up = ctx->get_saved_variables()[0];
    const at::Tensor grad_TF = grad_outputs[0].contiguous();
    if (!HasFusedKernel(gate_up)) return {aten_paths::SwiGluBackward(gate_up, grad_TF)};
    const at::Tensor grad_gate_up = at::empty_like(gate_up);
    const int64_t width = grad_TF.size(1);
    WithElementType(gate_up.scalar_type(), [&]<typename T>(T) {
      const T* in = ConstData<T>(gate_up);
      const T* grad = ConstData<T>(grad_TF);
      T* out = MutableData<T>(grad_gate_up);
      ForEachChunk(grad_TF.size(0), [=](int64_t begin, int64_t end, int64_t) {
        SwiGluBackward(in, grad, out, width, begin, end);
      });
    });
    return {grad_gate_up};
  }
};

}  // namespace

ResidualNormResult ResidualNorm(const at::Tensor& residual_TC, const at::Tensor& update_TC,
                                const NormWeights& norm) {
  if (update_TC.defined() && update_TC.scalar_type() != norm.output_type) {
    return ResidualNorm(residual_TC + update_TC, {}, norm);  // two embeddings, once in a pass
  }
  const std::optional<at::Tensor> update =
      update_TC.defined() ? std::optional<at::Tensor>(update_TC) : std::nullopt;
  const std::optional<at::Tensor> bias =
      norm.bias_C.defined() ? std::optional<at::Tensor>(norm.bias_C) : std::nullopt;
  variable_list outputs =
      ResidualNormFunction::apply(residual_TC, update, norm.weight_C, bias, norm);
  return {outputs[0], outputs[1]};
}

at::Tensor SwiGlu(const at::Tensor& gate_up_T2F) { return SwiGluFunction::apply(gate_up_T2F); }

}  // namespace breakeven
