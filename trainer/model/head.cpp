#include "trainer/model/head.h"

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <string>

#include "comm/base/error.h"
#include "trainer/autograd/element_type.h"
#include "trainer/autograd/matrix_product.h"
#include "trainer/autograd/row_kernels.h"

namespace breakeven {
namespace {

constexpr int64_t kChunkRows = 256;  // 50 MB of logits at 49,152 columns

void ScoreChunk(const at::Tensor& logits_RV, const int64_t* targets, float* loglikelihood,
                bool* is_argmax) {
  const int64_t vocabulary = logits_RV.size(1);
  const float* logits = logits_RV.const_data_ptr<float>();
  at::parallel_for(0, logits_RV.size(0), 1, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* row = logits + r * vocabulary;
      const RowSoftmax softmax = SoftmaxOfRow(row, vocabulary);
      loglikelihood[r] =
          static_cast<float>(static_cast<double>(row[targets[r]]) - softmax.log_sum_exp);
      is_argmax[r] = ArgMaxOfRow(row, vocabulary, softmax.max) == targets[r];
    }
  });
}

// Plain ATen, for other devices.
TargetScores ScoreComposite(const at::Tensor& logits_RV, const at::Tensor& targets_R) {
  const at::Tensor column = targets_R.unsqueeze(1);
  const at::Tensor is_max = logits_RV == logits_RV.amax(1, /*keepdim=*/true);
  const at::Tensor ids = at::arange(logits_RV.size(1), targets_R.options());
  const at::Tensor first = at::where(is_max, ids, logits_RV.size(1)).amin(1);
  return {at::log_softmax(logits_RV, 1, at::kFloat).gather(1, column).squeeze(1),
          first == targets_R};
}

}  // namespace

TargetScores ScoreTargets(const at::Tensor& hidden_RC, const at::Tensor& head_VC,
                          const at::Tensor& targets_R) {
  const c10::NoGradGuard no_gradients;
  const int64_t num_rows = hidden_RC.size(0);
  const bool fused = HasFusedKernel(hidden_RC);
  const at::Tensor targets = targets_R.contiguous();
  if (fused) {
    const int64_t* ids = targets.const_data_ptr<int64_t>();
    BE_CHECK(std::all_of(ids, ids + num_rows,
                         [&](int64_t id) { return id >= 0 && id < head_VC.size(0); }),
             "targets within the vocabulary of " + std::to_string(head_VC.size(0)));
  }
  const TargetScores scores = {at::empty({num_rows}, hidden_RC.options().dtype(at::kFloat)),
                               at::empty({num_rows}, hidden_RC.options().dtype(at::kBool))};
  const at::Tensor buffer = at::empty({std::min(kChunkRows, num_rows), head_VC.size(0)},
                                      hidden_RC.options().dtype(SumTypeOf(hidden_RC)));
  for (int64_t start = 0; start < num_rows; start += kChunkRows) {
    const int64_t count = std::min(kChunkRows, num_rows - start);
    at::Tensor logits_RV = buffer.narrow(0, 0, count);
    MultiplyInto(logits_RV, hidden_RC.narrow(0, start, count), head_VC.t());
    if (fused) {
      ScoreChunk(logits_RV, targets.const_data_ptr<int64_t>() + start,
                 scores.loglikelihood_R.mutable_data_ptr<float>() + start,
                 scores.is_argmax_R.mutable_data_ptr<bool>() + start);
    } else {
      const TargetScores part = ScoreComposite(logits_RV, targets.narrow(0, start, count));
      scores.loglikelihood_R.narrow(0, start, count).copy_(part.loglikelihood_R);
      scores.is_argmax_R.narrow(0, start, count).copy_(part.is_argmax_R);
    }
  }
  return scores;
}

at::Tensor NextTokenLogits(const at::Tensor& hidden_BC, const at::Tensor& head_VC) {
  const c10::NoGradGuard no_gradients;
  const at::Tensor logits_BV = at::empty({hidden_BC.size(0), head_VC.size(0)},
                                         hidden_BC.options().dtype(SumTypeOf(hidden_BC)));
  MultiplyInto(logits_BV, hidden_BC, head_VC.t());
  return logits_BV.to(at::kFloat);
}

}  // namespace breakeven
