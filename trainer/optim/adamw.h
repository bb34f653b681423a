// AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019) over the flat
// buffers.
#ifndef BREAKEVEN_TRAINER_OPTIM_ADAMW_H_
#define BREAKEVEN_TRAINER_OPTIM_ADAMW_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "comm/communicator.h"
#include "trainer/model/flat_parameters.h"
#include "trainer/optim/bucket_plan.h"
#include "trainer/training_config.h"

namespace breakeven {

// Two groups, with and without weight decay, each the fewest possible ranges of the flat buffers:
// torch's fused kernel runs over a few long pieces instead of one small tensor per parameter.
// Weights and moments are float32.
class AdamW {
 public:
  // COLLECTIVE (Allocate). `storage` must outlive this.
  AdamW(const OptimizerConfig& config, const ModelStorage& storage, Communicator& data);
  AdamW(const AdamW&) = delete;
  AdamW& operator=(const AdamW&) = delete;

  // One update with gradient / grad_scale (which is written back to gradient_P where grad_scale is
  // not 1). The caller does not call it for a step that is skipped: then the count for the bias
  // correction stays as well.
  void Update(const at::Tensor& gradient_P, double learning_rate, double grad_scale);

  // torch.nn.utils.clip_grad_norm_'s rule as a divisor: max(1, (norm + 1e-6) / max_grad_norm); 1
  // when clipping is off.
  double GradScale(double grad_norm) const;

  int64_t num_updates() const { return num_updates_; }
  void set_num_updates(int64_t num_updates) { num_updates_ = num_updates; }
  // [P], in the layout of ModelStorage; for checkpoints.
  const at::Tensor& exp_avg_P() const { return exp_avg_P_; }
  const at::Tensor& exp_avg_sq_P() const { return exp_avg_sq_P_; }

 private:
  struct Group {
    std::vector<FlatRange> ranges;
    double weight_decay = 0;
  };
  OptimizerConfig config_;
  const ModelStorage& storage_;
  Memory exp_avg_memory_;
  Memory exp_avg_sq_memory_;
  at::Tensor exp_avg_P_;
  at::Tensor exp_avg_sq_P_;
  std::vector<Group> groups_;
  int64_t num_updates_ = 0;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_OPTIM_ADAMW_H_
