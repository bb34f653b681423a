#include "trainer/optim/device_agreement.h"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <utility>

#include "comm/base/error.h"
#include "trainer/optim/gradient_norm.h"

namespace breakeven {

DeviceAgreement::DeviceAgreement(Communicator& data, at::Tensor header, at::Tensor gradient_P,
                                 const std::vector<FlatRange>& shard, bool sharded)
    : header_(std::move(header)),
      gradient_P_(std::move(gradient_P)),
      shard_(MergeNeighbours(shard)),
      sharded_(sharded),
      rank_(data.rank()),
      num_losses_(data.world_size()),
      all_(AllocateFlat(data, kNumReported + num_losses_ + gradient_P_.numel() / kNormBlock,
                        gradient_P_.device(), at::kDouble)) {
  BE_CHECK(gradient_P_.numel() % kNormBlock == 0, "a gradient of whole norm blocks");
}

void DeviceAgreement::Write(const StepReport& report, const at::Tensor& loss) {
  const at::NoGradGuard no_grad;
  // fill_ carries its value in the launch: nothing is copied from the host.
  if (report.stop) header_[kStop].fill_(1);
  if (report.checkpoint_due) header_[kCheckpointDue].fill_(1);
  if (report.saving) header_[kSaving].fill_(1);
  if (!loss.defined()) return;
  header_[kLoss].copy_(loss);
  header_[kNonfinite].copy_(loss.isfinite().logical_not());
}

// In float32 within a block, in float64 over blocks; a block is one sum whatever the shards, so sharded
// and not are the same bits.
void DeviceAgreement::SumSquares() {
  const at::Tensor blocks =
      all_.values.narrow(0, kNumReported + num_losses_, gradient_P_.numel() / kNormBlock);
  for (const FlatRange& range : shard_) {
    const at::Tensor part = gradient_P_.narrow(0, range.begin, range.size());
    blocks.narrow(0, range.begin / kNormBlock, range.size() / kNormBlock)
        .copy_(at::linalg_vector_norm(part.view({-1, kNormBlock}), 2, at::IntArrayRef{1}))
        .square_();
  }
}

StepOutcome DeviceAgreement::Read(const std::function<void(const at::Tensor&)>& reduce) {
  const at::NoGradGuard no_grad;
  const at::Tensor& all = all_.values;
  all.zero_();
  all.narrow(0, 0, kNumReported).copy_(header_.narrow(0, 0, kNumReported));
  SumSquares();
  if (sharded_) {
    // Each loss and each block comes from one rank and meets only zeros.
    all[kNumReported + rank_].copy_(all[kLoss]);
    all[kLoss].fill_(0);
    reduce(all);
    all[kLoss].copy_(all.narrow(0, kNumReported, num_losses_).sum());
  }
  const int64_t first_block = kNumReported + num_losses_;
  const at::Tensor squares =
      all.narrow(0, first_block, all.numel() - first_block).sum().reshape({1});
  const at::Tensor read =
      OnHost(at::cat({all.narrow(0, 0, kNumReported), squares})).contiguous();  // the one wait
  const double* values = read.const_data_ptr<double>();
  StepOutcome outcome;
  outcome.stop = values[kStop] > 0;
  outcome.checkpoint_due = values[kCheckpointDue] > 0;
  outcome.saving = values[kSaving] > 0;
  outcome.loss = values[kLoss];
  outcome.grad_norm = std::sqrt(values[kNumReported]);
  outcome.finite = values[kNonfinite] == 0 && std::isfinite(outcome.grad_norm);
  return outcome;
}

}  // namespace breakeven
