// Norm, SwiGLU and head loss of aten_paths.h.
#include "trainer/autograd/aten_paths.h"

#include <algorithm>

#include "comm/base/error.h"
#include "trainer/autograd/element_type.h"
#include "trainer/autograd/matrix_product.h"

namespace breakeven::aten_paths {
namespace {

// (sum - mean) / deviation, [T, C].
at::Tensor Normalised(const NormOutputs& forward) {
  const at::Tensor centered_TC =
      forward.mean_T.defined() ? forward.sum_TC - forward.mean_T.unsqueeze(1) : forward.sum_TC;
  return centered_TC * forward.inverse_T.unsqueeze(1);
}

// Of the head's logits, in elements: 256 MiB of float32 at a time.
constexpr int64_t kMaxLogits = int64_t{1} << 26;
constexpr int64_t kMaxChunkRows = 4096;

}  // namespace

NormOutputs NormForward(const at::Tensor& residual_TC, const at::Tensor& update_TC,
                        const NormWeights& norm) {
  NormOutputs outputs;
  outputs.sum_TC = update_TC.defined() ? residual_TC + update_TC : residual_TC;
  at::Tensor centered_TC = outputs.sum_TC;
  if (norm.kind == NormKind::kLayer) {
    outputs.mean_T = outputs.sum_TC.mean(1);
    centered_TC = outputs.sum_TC - outputs.mean_T.unsqueeze(1);
  }
  outputs.inverse_T = centered_TC.square().mean(1).add_(norm.epsilon).rsqrt_();
  at::Tensor normed_TC = centered_TC * outputs.inverse_T.unsqueeze(1);
  normed_TC.mul_(norm.weight_C.detach());
  if (norm.bias_C.defined()) normed_TC.add_(norm.bias_C.detach());
  outputs.normed_TC = normed_TC.to(norm.output_type);
  return outputs;
}

NormGradients NormBackward(const NormOutputs& forward, NormKind kind, const at::Tensor& weight_C,
                           const at::Tensor& grad_sum_TC, const at::Tensor& grad_normed_TC) {
  NormGradients gradients;
  if (!grad_normed_TC.defined()) {
    gradients.input_TC =
        grad_sum_TC.defined() ? grad_sum_TC.clone() : at::zeros_like(forward.sum_TC);
    gradients.weight_C = at::zeros_like(weight_C);
    gradients.bias_C = gradients.weight_C;
    return gradients;
  }
  const at::Tensor grad_TC = grad_normed_TC.to(forward.sum_TC.scalar_type());
  const at::Tensor normalised_TC = Normalised(forward);
  gradients.weight_C = (grad_TC * normalised_TC).sum(0);
  if (kind == NormKind::kLayer) gradients.bias_C = grad_TC.sum(0);
  at::Tensor input_TC = grad_TC * weight_C.detach();
  const at::Tensor along_T1 = (input_TC * normalised_TC).mean(1, /*keepdim=*/true);
  if (kind == NormKind::kLayer) input_TC.sub_(input_TC.mean(1, /*keepdim=*/true));
  input_TC.sub_(normalised_TC * along_T1).mul_(forward.inverse_T.unsqueeze(1));
  if (grad_sum_TC.defined()) input_TC.add_(grad_sum_TC);
  gradients.input_TC = input_TC;
  return gradients;
}

at::Tensor SwiGluForward(const at::Tensor& gate_up_T2F) {
  const int64_t width = gate_up_T2F.size(1) / 2;
  const at::ScalarType type = SumTypeOf(gate_up_T2F);
  at::Tensor out_TF = at::silu(gate_up_T2F.narrow(1, 0, width).to(type));
  out_TF.mul_(gate_up_T2F.narrow(1, width, width));
  return out_TF.to(gate_up_T2F.scalar_type());
}

at::Tensor SwiGluBackward(const at::Tensor& gate_up_T2F, const at::Tensor& grad_TF) {
  const int64_t width = gate_up_T2F.size(1) / 2;
  const at::ScalarType type = SumTypeOf(gate_up_T2F);
  const at::Tensor gate_TF = gate_up_T2F.narrow(1, 0, width).to(type);
  const at::Tensor grad = grad_TF.to(type);
  const at::Tensor grad_gate_up_T2F = at::empty_like(gate_up_T2F);
  grad_gate_up_T2F.narrow(1, 0, width)
      .copy_(at::silu_backward(grad * gate_up_T2F.narrow(1, width, width), gate_TF));
  grad_gate_up_T2F.narrow(1, width, width).copy_(at::silu(gate_TF).mul_(grad));
  return grad_gate_up_T2F;
}

at::Tensor HeadLoss(const at::Tensor& hidden_TC, const at::Tensor& head_VC,
                    const at::Tensor& targets_T, const at::Tensor& loss_weight_T, double normalizer,
                    const at::Tensor& grad_head_VC, bool overwrites,
                    const at::Tensor& grad_hidden_TC) {
  const int64_t num_rows = hidden_TC.size(0);
  if (overwrites && num_rows == 0 && grad_head_VC.defined()) grad_head_VC.zero_();
  const int64_t vocabulary = head_VC.size(0);
  BE_CHECK(num_rows == 0 || normalizer > 0, "normalizer " + std::to_string(normalizer));
  const at::ScalarType type = SumTypeOf(hidden_TC);
  const at::Tensor without_T1 = loss_weight_T.eq(0).unsqueeze(1);
  // A target without weight may be anything; an index outside would be an error on the device.
  const at::Tensor targets_T1 = targets_T.unsqueeze(1).masked_fill(without_T1, 0);
  const at::Tensor weights_T1 = loss_weight_T.unsqueeze(1).to(type);
  const at::Tensor losses_T1 = at::zeros({num_rows, 1}, hidden_TC.options().dtype(type));
  const int64_t chunk_rows = std::clamp<int64_t>(kMaxLogits / vocabulary, 1, kMaxChunkRows);
  for (int64_t start = 0; start < num_rows; start += chunk_rows) {
    const int64_t count = std::min(chunk_rows, num_rows - start);
    const at::Tensor hidden_RC = hidden_TC.narrow(0, start, count);
    const at::Tensor targets_R1 = targets_T1.narrow(0, start, count);
    const at::Tensor weights_R1 = weights_T1.narrow(0, start, count);
    // One buffer: logits, then exp(logit - max), then the loss's gradient.
    at::Tensor logits_RV = at::mm(hidden_RC, head_VC.t()).to(type);
    const at::Tensor of_target_R1 = logits_RV.gather(1, targets_R1);
    const at::Tensor max_R1 = logits_RV.amax(1, /*keepdim=*/true);
    logits_RV.sub_(max_R1).exp_();
    const at::Tensor sum_R1 = logits_RV.sum(1, /*keepdim=*/true);
    losses_T1.narrow(0, start, count)
        .copy_((sum_R1.log().add_(max_R1).sub_(of_target_R1).mul_(weights_R1))
                   .masked_fill_(without_T1.narrow(0, start, count), 0));
    if (!grad_hidden_TC.defined()) continue;
    const at::Tensor scale_R1 = weights_R1 / normalizer;
    logits_RV.mul_(scale_R1 / sum_R1);
    logits_RV.scatter_add_(1, targets_R1, scale_R1.neg());
    const at::Tensor grad_RV = logits_RV.to(hidden_TC.scalar_type());
    at::Tensor grad_RC = grad_hidden_TC.narrow(0, start, count);
    at::mm_out(grad_RC, grad_RV, head_VC);
    MultiplyInto(grad_head_VC, grad_RV.t(), hidden_RC, !overwrites || start > 0);
  }
  if (num_rows == 0) return at::zeros({}, losses_T1.options());
  return losses_T1.sum(at::kDouble).div_(normalizer).to(type);
}

}  // namespace breakeven::aten_paths
