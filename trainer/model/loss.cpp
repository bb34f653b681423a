#include "trainer/model/loss.h"

#include "trainer/autograd/fused_head_loss.h"

namespace breakeven {

at::Tensor WeightedLoss(Model& model, const PackedInput& input, const at::Tensor& targets_T,
                        const at::Tensor& loss_weight_T, double normalizer) {
  if (input.rows_R.defined()) {
    return FusedHeadLoss(model.HiddenStates(input), model.HeadWeight(), targets_T, loss_weight_T,
                         normalizer, model.HeadCopy(), &model.gradient_sink());
  }
  PackedInput wanted = input;
  wanted.rows_R = loss_weight_T.nonzero().squeeze(1);
  const bool all = wanted.rows_R.size(0) == input.num_tokens();
  if (all) wanted.rows_R = at::Tensor();
  const at::Tensor hidden_RC = model.HiddenStates(wanted);
  if (all) {
    return FusedHeadLoss(hidden_RC, model.HeadWeight(), targets_T, loss_weight_T, normalizer,
                         model.HeadCopy(), &model.gradient_sink());
  }
  return FusedHeadLoss(hidden_RC, model.HeadWeight(), targets_T.index_select(0, wanted.rows_R),
                       loss_weight_T.index_select(0, wanted.rows_R), normalizer, model.HeadCopy(),
                       &model.gradient_sink());
}

}  // namespace breakeven
