#include "trainer/optim/adamw.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "trainer/autograd/element_type.h"
#include "trainer/optim/adamw_kernel.h"
#include "trainer/tensor_bridge.h"

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

std::vector<at::Tensor> OfFlat(const at::Tensor& flat_P, const std::vector<ShardPiece>& pieces) {
  std::vector<at::Tensor> tensors;
  for (const ShardPiece& piece : pieces) {
    tensors.push_back(flat_P.narrow(0, piece.range.begin, piece.range.size()));
  }
  return tensors;
}

std::vector<at::Tensor> OfShard(const at::Tensor& compact, const std::vector<ShardPiece>& pieces) {
  std::vector<at::Tensor> tensors;
  for (const ShardPiece& piece : pieces) {
    tensors.push_back(compact.narrow(0, piece.compact_begin, piece.range.size()));
  }
  return tensors;
}

// The CUDA kernel counts in 32 bits: no piece that comes near.
std::vector<ShardPiece> CutForDevice(const std::vector<ShardPiece>& pieces) {
  constexpr int64_t kMost = int64_t{1} << 30;
  std::vector<ShardPiece> cut;
  for (const ShardPiece& piece : pieces) {
    for (int64_t begin = 0; begin < piece.range.size(); begin += kMost) {
      const int64_t size = std::min(kMost, piece.range.size() - begin);
      cut.push_back({{piece.range.begin + begin, piece.range.begin + begin + size},
                     piece.compact_begin + begin});
    }
  }
  return cut;
}

}  // namespace

AdamW::AdamW(const OptimizerConfig& config, const ModelStorage& storage)
    : AdamW(config, storage, {{0, storage.num_elements()}}) {}

AdamW::AdamW(const OptimizerConfig& config, const ModelStorage& storage,
             std::vector<FlatRange> shard)
    : config_(config),
      storage_(storage),
      shard_(std::move(shard)),
      exp_avg_P_(AllocateOwnFlat(CountElements(shard_), storage.parameters_P.device())),
      exp_avg_sq_P_(AllocateOwnFlat(CountElements(shard_), storage.parameters_P.device())),
      groups_{{CutForDevice(IntersectShard(shard_, RangesOf(storage, true))), config.weight_decay},
              {CutForDevice(IntersectShard(shard_, RangesOf(storage, false))), 0.0}} {}

void AdamW::Update(const at::Tensor& gradient_P, double learning_rate, double grad_scale) {
  const at::NoGradGuard no_grad;
  ++num_updates_;
  for (const Group& group : groups_) {
    if (group.pieces.empty()) continue;
    if (HasFusedKernel(gradient_P)) {
      UpdateOnHost(group, gradient_P, learning_rate, grad_scale);
    } else {
      UpdateByAten(group, gradient_P, learning_rate, grad_scale);
    }
  }
}

void AdamW::UpdateOnHost(const Group& group, const at::Tensor& gradient_P, double learning_rate,
                         double grad_scale) {
  const auto count = static_cast<double>(num_updates_);
  const auto rounded = [](double value) { return static_cast<float>(value); };
  const AdamWFactors factors = {
      .gradient = rounded(1 / grad_scale),
      .keep = rounded(1 - learning_rate * group.weight_decay),
      .new_avg = rounded(1 - config_.beta1),
      .keep_sq = rounded(config_.beta2),
      .new_sq = rounded(1 - config_.beta2),
      .step_size = rounded(learning_rate / (1 - std::pow(config_.beta1, count))),
      .deviation = rounded(1 / std::sqrt(1 - std::pow(config_.beta2, count))),
      .epsilon = rounded(config_.epsilon)};
  const bool first = num_updates_ == 1;
  constexpr int64_t kGrain = 1 << 16;
  for (const ShardPiece& piece : group.pieces) {
    const int64_t place = piece.range.begin;
    const AdamWElements all = {
        .weight = MutableData<float>(storage_.parameters_P) + place,
        .gradient = ConstData<float>(gradient_P) + place,
        .exp_avg = MutableData<float>(exp_avg_P_) + piece.compact_begin,
        .exp_avg_sq = MutableData<float>(exp_avg_sq_P_) + piece.compact_begin,
        .copy = storage_.copies_P.defined() ? MutableData<BFloat16>(storage_.copies_P) + place
                                            : nullptr};
    at::parallel_for(0, piece.range.size(), kGrain, [=](int64_t begin, int64_t end) {
      if (first) {
        // Written before they are read: a page that comes by a read is a shared one of zeros, and
        // before Linux 6.12 the write behind it gets small pages.
        std::fill_n(all.exp_avg + begin, end - begin, 0.0F);
        std::fill_n(all.exp_avg_sq + begin, end - begin, 0.0F);
      }
      UpdateAdamW({all.weight + begin, all.gradient + begin, all.exp_avg + begin,
                   all.exp_avg_sq + begin, all.copy == nullptr ? nullptr : all.copy + begin},
                  end - begin, factors);
    });
  }
}

void AdamW::UpdateByAten(const Group& group, const at::Tensor& gradient_P, double learning_rate,
                         double grad_scale) {
  const at::TensorOptions options = storage_.parameters_P.options();  // on a GPU: filled there
  const at::Tensor step = at::scalar_tensor(static_cast<float>(num_updates_), options);
  const std::optional<at::Tensor> scale =
      grad_scale == 1 ? std::nullopt
                      : std::optional(at::scalar_tensor(static_cast<float>(grad_scale), options));
  at::_fused_adamw_(OfFlat(storage_.parameters_P.detach(), group.pieces),
                    OfFlat(gradient_P, group.pieces), OfShard(exp_avg_P_, group.pieces),
                    OfShard(exp_avg_sq_P_, group.pieces), {},
                    std::vector<at::Tensor>(group.pieces.size(), step), learning_rate,
                    config_.beta1, config_.beta2, group.weight_decay, config_.epsilon,
                    /*amsgrad=*/false, /*maximize=*/false, scale);
}

std::vector<FlatRange> AdamW::uncopied() const {
  const int64_t size = storage_.num_elements();
  return HasFusedKernel(storage_.parameters_P) ? Complement(shard_, size)
                                               : std::vector<FlatRange>{{0, size}};
}

void AdamW::TakeMoment(Moment which, const at::Tensor& flat_P) {
  for (const ShardPiece& piece : IntersectShard(shard_, shard_)) {
    moment(which)
        .narrow(0, piece.compact_begin, piece.range.size())
        .copy_(flat_P.narrow(0, piece.range.begin, piece.range.size()));
  }
}

void AdamW::PutMoment(Moment which, const at::Tensor& flat_P) const {
  for (const ShardPiece& piece : IntersectShard(shard_, shard_)) {
    flat_P.narrow(0, piece.range.begin, piece.range.size())
        .copy_(moment(which).narrow(0, piece.compact_begin, piece.range.size()));
  }
}

double AdamW::GradScale(double grad_norm) const {
  if (config_.max_grad_norm == 0) return 1;
  return std::max(1.0, (grad_norm + 1e-6) / config_.max_grad_norm);
}

}  // namespace breakeven
