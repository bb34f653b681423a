#include "trainer/autograd/fused_head_loss.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>
#include <string>
#include <vector>

#include "comm/base/error.h"
#include "trainer/autograd/aten_paths.h"
#include "trainer/autograd/element_type.h"
#include "trainer/autograd/gradient_sink.h"
#include "trainer/autograd/head_chunks.h"
#include "trainer/autograd/matrix_product.h"
#include "trainer/autograd/row_kernels.h"

namespace breakeven {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

float ValueOf(float logit) { return logit; }
float ValueOf(BFloat16 logit) { return ToFloat(logit); }

// Cross-entropy of every row of `logits`, weighted; with `gradients` the logits become the loss's
// gradient.
void LossOfChunk(const at::Tensor& logits_RV, const int64_t* targets, const float* weights,
                 double normalizer, bool gradients, double* losses) {
  const int64_t vocabulary = logits_RV.size(1);
  WithElementType(logits_RV.scalar_type(), [&]<typename T>(T) {
    T* logits = MutableData<T>(logits_RV);
    at::parallel_for(0, logits_RV.size(0), 1, [=](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        T* row = logits + r * vocabulary;
        const RowSoftmax softmax = SoftmaxOfRow(row, vocabulary);
        losses[r] =
            weights[r] * (softmax.log_sum_exp - static_cast<double>(ValueOf(row[targets[r]])));
        if (!gradients) continue;
        CrossEntropyGradient(row, vocabulary, softmax, targets[r],
                             static_cast<float>(static_cast<double>(weights[r]) / normalizer));
      }
    });
  });
}

void CheckTargets(const at::Tensor& targets_R, int64_t vocabulary) {
  const int64_t* targets = targets_R.const_data_ptr<int64_t>();
  for (int64_t r = 0; r < targets_R.size(0); ++r) {
    BE_CHECK(targets[r] >= 0 && targets[r] < vocabulary, "target " + std::to_string(targets[r]) +
                                                             " with a vocabulary of " +
                                                             std::to_string(vocabulary));
  }
}

class FusedHeadLossFunction : public torch::autograd::Function<FusedHeadLossFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& hidden_TC,
                            const at::Tensor& head_VC, const at::Tensor& targets_T,
                            const at::Tensor& loss_weight_T, double normalizer, bool gradients,
                            const std::optional<at::Tensor>& head_copy_VC, GradientSink* sink) {
    const at::Tensor head = head_copy_VC.value_or(head_VC);
    BE_CHECK(head.scalar_type() == hidden_TC.scalar_type(), "head and hidden states of one type");
    const bool owns = OwnsGradient(head_VC);
    at::Tensor grad_head;
    if (gradients) grad_head = owns ? head_VC.grad() : at::empty_like(head_VC);
    const bool overwrites = gradients && (Overwrites(sink) || !owns);
    ctx->saved_data["num_tokens"] = hidden_TC.size(0);
    if (!HasFusedKernel(hidden_TC)) {
      const at::Tensor grad_hidden_TC = gradients ? at::empty_like(hidden_TC) : at::Tensor();
      const at::Tensor loss =
          aten_paths::HeadLoss(hidden_TC, head, targets_T, loss_weight_T, normalizer, grad_head,
                               overwrites, grad_hidden_TC);
      ctx->save_for_backward({at::Tensor(), grad_hidden_TC, owns ? at::Tensor() : grad_head});
      return loss;
    }
    const at::Tensor rows_R = loss_weight_T.nonzero().squeeze(1);
    const at::Tensor targets_R = targets_T.index_select(0, rows_R);
    const at::Tensor weights_R = loss_weight_T.index_select(0, rows_R);
    CheckTargets(targets_R, head_VC.size(0));
    const int64_t num_rows = rows_R.size(0);
    BE_CHECK(num_rows == 0 || normalizer > 0, "normalizer " + std::to_string(normalizer));
    if (overwrites && num_rows == 0) grad_head.zero_();
    const int64_t chunk_rows = RowsOfHeadChunk(num_rows);

    const at::Tensor logits_buffer = at::empty({chunk_rows, head_VC.size(0)}, hidden_TC.options());
    at::Tensor grad_hidden_RC;
    if (gradients) grad_hidden_RC = at::empty({num_rows, hidden_TC.size(1)}, hidden_TC.options());
    std::vector<double> losses(static_cast<size_t>(num_rows));
    for (int64_t start = 0; start < num_rows; start += chunk_rows) {
      const int64_t count = std::min(chunk_rows, num_rows - start);
      const at::Tensor hidden_RC = hidden_TC.index_select(0, rows_R.narrow(0, start, count));
      at::Tensor logits_RV = logits_buffer.narrow(0, 0, count);
      MultiplyInto(logits_RV, hidden_RC, head.t());
      LossOfChunk(logits_RV, targets_R.const_data_ptr<int64_t>() + start,
                  weights_R.const_data_ptr<float>() + start, normalizer, gradients,
                  losses.data() + start);
      if (!gradients) continue;
      MultiplyInto(grad_hidden_RC.narrow(0, start, count), logits_RV, head);
      MultiplyInto(grad_head, logits_RV.t(), hidden_RC, !overwrites || start > 0);
    }
    double loss = 0;
    for (const double row_loss : losses) loss += row_loss;
    ctx->save_for_backward({rows_R, grad_hidden_RC, owns ? at::Tensor() : grad_head});
    return at::full({}, num_rows == 0 ? 0.0 : loss / normalizer, head_VC.options());
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    if (HasFusedKernel(grad_outputs[0])) {  // on a GPU looking would wait for it
      const float upstream = grad_outputs[0].item<float>();
      BE_CHECK(upstream == 1.0f, "FusedHeadLoss is the root of backward; its gradient is " +
                                     std::to_string(upstream));
    }
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& grad_hidden_RC = saved[1];
    const bool all_rows = !saved[0].defined();
    if (all_rows) return {grad_hidden_RC, saved[2], {}, {}, {}, {}, {}, {}};
    const int64_t num_tokens = ctx->saved_data["num_tokens"].toInt();
    const at::Tensor grad_hidden_TC =
        at::zeros({num_tokens, grad_hidden_RC.size(1)}, grad_hidden_RC.options());
    grad_hidden_TC.index_copy_(0, saved[0], grad_hidden_RC);
    return {grad_hidden_TC, saved[2], {}, {}, {}, {}, {}, {}};
  }
};

}  // namespace

at::Tensor FusedHeadLoss(const at::Tensor& hidden_TC, const at::Tensor& head_VC,
                         const at::Tensor& targets_T, const at::Tensor& loss_weight_T,
                         double normalizer, const at::Tensor& head_copy_VC, GradientSink* sink) {
  const bool gradients =
      at::GradMode::is_enabled() && (hidden_TC.requires_grad() || head_VC.requires_grad());
  return FusedHeadLossFunction::apply(
      hidden_TC, head_VC, targets_T, loss_weight_T, normalizer, gradients,
      head_copy_VC.defined() ? std::optional<at::Tensor>(head_copy_VC) : std::nullopt, sink);
}

}  // namespace breakeven
