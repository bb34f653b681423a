// Scoring through the language-model head, without gradients and without keeping logits.
//
// Shape suffixes: R rows to score, B sequences, C hidden size, V vocabulary rows.
#ifndef BREAKEVEN_TRAINER_MODEL_HEAD_H_
#define BREAKEVEN_TRAINER_MODEL_HEAD_H_

#include <ATen/ATen.h>

namespace breakeven {

struct TargetScores {
  at::Tensor loglikelihood_R;  // float32, natural log of the target's probability under the softmax
                               // of all V logits
  at::Tensor
      is_argmax_R;  // bool: the target has the largest logit; of equal logits the lowest id counts
};

// hidden_RC (hidden state of the token BEFORE the target) and head_VC float32 or both bfloat16: logits and
// all behind them are float32 always. targets_R int64 in [0, V). Rows
// pass in chunks of a fixed height, so a row's result depends on its place in the batch only
// through the matrix product. R = 0 is fine.
TargetScores ScoreTargets(const at::Tensor& hidden_RC, const at::Tensor& head_VC,
                          const at::Tensor& targets_R);

// [B, V] float32.
at::Tensor NextTokenLogits(const at::Tensor& hidden_BC, const at::Tensor& head_VC);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_MODEL_HEAD_H_
