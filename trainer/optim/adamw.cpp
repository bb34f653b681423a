#include "trainer/optim/adamw.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>

#include <algorithm>
#include <optional>

namespace breakeven {
namespace {

// A group's ranges reach to the next parameter: the padding between is zero in every buffer and
// stays so, and without a gap neighbours join.
std::vector<FlatRange> RangesOf(const ModelStorage& storage, bool decays) {
  std::vector<FlatRange> ranges;
  for (size_t i = 0; i < storage.ranges.size(); ++i) {
    if (storage.ranges[i].decays != decays) continue;
    const bool last = i + 1 == storage.ranges.size();
    ranges.push_back(
        {storage.ranges[i].offset, last ? storage.num_elements() : storage.ranges[i + 1].offset});
  }
  return MergeNeighbours(ranges);
}

std::vector<at::Tensor> Pieces(const at::Tensor& flat_P, const std::vector<FlatRange>& ranges) {
  std::vector<at::Tensor> pieces;
  for (const FlatRange& range : ranges) {
    pieces.push_back(flat_P.narrow(0, range.begin, range.size()));
  }
  return pieces;
}

at::Tensor Wrap(const Memory& memory, int64_t num_elements) {
  return at::from_blob(memory.data(), {num_elements}, at::kFloat);
}

}  // namespace

AdamW::AdamW(const OptimizerConfig& config, const ModelStorage& storage, Communicator& data)
    : config_(config),
      storage_(storage),
      exp_avg_memory_(data.Allocate(storage.num_elements() * SizeOf(DType::kFloat32))),
      exp_avg_sq_memory_(data.Allocate(storage.num_elements() * SizeOf(DType::kFloat32))),
      exp_avg_P_(Wrap(exp_avg_memory_, storage.num_elements())),
      exp_avg_sq_P_(Wrap(exp_avg_sq_memory_, storage.num_elements())),
      groups_{{RangesOf(storage, true), config.weight_decay}, {RangesOf(storage, false), 0.0}} {}

void AdamW::Update(const at::Tensor& gradient_P, double learning_rate, double grad_scale) {
  const at::NoGradGuard no_grad;
  ++num_updates_;
  const at::Tensor step = at::scalar_tensor(static_cast<float>(num_updates_), at::kFloat);
  const std::optional<at::Tensor> scale =
      grad_scale == 1
          ? std::nullopt
          : std::optional(at::scalar_tensor(static_cast<float>(grad_scale), at::kFloat));
  for (const Group& group : groups_) {
    if (group.ranges.empty()) continue;
    at::_fused_adamw_(Pieces(storage_.parameters_P.detach(), group.ranges),
                      Pieces(gradient_P, group.ranges), Pieces(exp_avg_P_, group.ranges),
                      Pieces(exp_avg_sq_P_, group.ranges), {},
                      std::vector<at::Tensor>(group.ranges.size(), step), learning_rate,
                      config_.beta1, config_.beta2, group.weight_decay, config_.epsilon,
                      /*amsgrad=*/false, /*maximize=*/false, scale);
  }
}

double AdamW::GradScale(double grad_norm) const {
  if (config_.max_grad_norm == 0) return 1;
  return std::max(1.0, (grad_norm + 1e-6) / config_.max_grad_norm);
}

}  // namespace breakeven
