// AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019) over the flat
// buffers.
#ifndef BREAKEVEN_TRAINER_OPTIM_ADAMW_H_
#define BREAKEVEN_TRAINER_OPTIM_ADAMW_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "trainer/model/flat_parameters.h"
#include "trainer/optim/bucket_plan.h"
#include "trainer/training_config.h"

namespace breakeven {

enum class Moment { kExpAvg, kExpAvgSq };

// Two groups, with and without weight decay, each the fewest possible ranges of the flat buffers: a few
// long passes instead of one small tensor per parameter. Weights and moments are float32, on the
// storage's device. On CPUs by adamw_kernel.h, elsewhere by torch's fused kernel.
class AdamW {
 public:
  // `storage` must outlive this. `shard`: the elements that this rank updates and keeps moments for,
  // ascending (bucket_plan.h). The first form takes all. On CPUs the moments take memory from the
  // first update on.
  AdamW(const OptimizerConfig& config, const ModelStorage& storage);
  AdamW(const OptimizerConfig& config, const ModelStorage& storage, std::vector<FlatRange> shard);
  AdamW(const AdamW&) = delete;
  AdamW& operator=(const AdamW&) = delete;

  // One update of the shard's weights with gradient / grad_scale, and on CPUs of their copies for
  // products (ModelStorage::copies_P) in the same pass; elsewhere the scaled gradient is written back.
  // The caller does not call it for a step that is skipped: then the count for the bias correction
  // stays as well.
  void Update(const at::Tensor& gradient_P, double learning_rate, double grad_scale);

  // What Update leaves to RefreshCopies: other ranks' weights, once they are gathered; not on CPUs, all.
  std::vector<FlatRange> uncopied() const;

  // torch.nn.utils.clip_grad_norm_'s rule as a divisor: max(1, (norm + 1e-6) / max_grad_norm); 1
  // when clipping is off.
  double GradScale(double grad_norm) const;

  int64_t num_updates() const { return num_updates_; }
  void set_num_updates(int64_t num_updates) { num_updates_ = num_updates; }
  const std::vector<FlatRange>& shard() const { return shard_; }
  // The shard's elements end to end; without shards [P], in the layout of ModelStorage.
  const at::Tensor& moment(Moment moment) const {
    return moment == Moment::kExpAvg ? exp_avg_P_ : exp_avg_sq_P_;
  }
  // Copies the shard's elements from or to their places in a flat buffer [P].
  void TakeMoment(Moment moment, const at::Tensor& flat_P);
  void PutMoment(Moment moment, const at::Tensor& flat_P) const;

 private:
  struct Group {
    std::vector<ShardPiece> pieces;
    double weight_decay = 0;
  };
  void UpdateOnHost(const Group& group, const at::Tensor& gradient_P, double learning_rate,
                    double grad_scale);
  void UpdateByAten(const Group& group, const at::Tensor& gradient_P, double learning_rate,
                    double grad_scale);

  OptimizerConfig config_;
  const ModelStorage& storage_;
  std::vector<FlatRange> shard_;
  at::Tensor exp_avg_P_;
  at::Tensor exp_avg_sq_P_;
  std::vector<Group> groups_;
  int64_t num_updates_ = 0;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_OPTIM_ADAMW_H_
