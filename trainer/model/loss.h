// The training loss of a micro-batch: hidden states of the rows that carry loss, head, softmax.
//
// Shape suffixes: T tokens, R rows whose weight is not zero, C hidden size, V vocabulary rows.
#ifndef BREAKEVEN_TRAINER_MODEL_LOSS_H_
#define BREAKEVEN_TRAINER_MODEL_LOSS_H_

#include <ATen/ATen.h>

#include "trainer/model/model.h"

namespace breakeven {

// Σ_t loss_weight[t] · cross_entropy(logits[t], targets[t]) / normalizer, a float32 scalar, to be the
// root of backward; all contracts of FusedHeadLoss (trainer/autograd/fused_head_loss.h) hold.
// Which rows carry loss is found out from the weights. Where input.rows_R is defined the caller has done
// so, and targets and weights are those of these rows, [R]: on a GPU the finding would wait for it.
at::Tensor WeightedLoss(Model& model, const PackedInput& input, const at::Tensor& targets_T,
                        const at::Tensor& loss_weight_T, double normalizer);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_MODEL_LOSS_H_
