#include "trainer/device_batch.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "trainer/autograd/aten_only.h"

namespace breakeven {
namespace {

template <typename T>
at::Tensor Wrap(std::span<T> values, at::ScalarType type) {
  return at::from_blob(values.data(), {static_cast<int64_t>(values.size())}, type);
}

bool HasTargets(const MicroBatch& batch) {
  return std::any_of(batch.loss_weight.begin(), batch.loss_weight.end(),
                     [](float weight) { return weight != 0; });
}

// Arrays one behind the other in a piece of bytes, each at a multiple of 8.
class Layout {
 public:
  int64_t Add(size_t num_bytes) {
    const int64_t begin = size_;
    size_ += (static_cast<int64_t>(num_bytes) + 7) / 8 * 8;
    return begin;
  }
  int64_t size() const { return size_; }

 private:
  int64_t size_ = 0;
};

// The rows that carry loss, where not all do.
struct LossRows {
  std::vector<int64_t> rows, targets;
  std::vector<float> weights;
};

LossRows FindLossRows(const MicroBatch& batch) {
  LossRows found;
  for (size_t t = 0; t < batch.loss_weight.size(); ++t) {
    if (batch.loss_weight[t] == 0) continue;
    found.rows.push_back(static_cast<int64_t>(t));
    found.targets.push_back(batch.targets[t]);
    found.weights.push_back(batch.loss_weight[t]);
  }
  return found;
}

}  // namespace

BatchTensors WrapBatch(const MicroBatch& batch) {
  BatchTensors tensors;
  tensors.input.tokens_T = Wrap(batch.tokens, at::kLong);
  tensors.input.positions_T = Wrap(batch.positions, at::kLong);
  tensors.input.segment_starts = batch.segment_starts;
  tensors.targets_T = Wrap(batch.targets, at::kLong);
  tensors.loss_weight_T = Wrap(batch.loss_weight, at::kFloat);
  tensors.has_targets = HasTargets(batch);
  return tensors;
}

BatchTensors CopyBatch(const MicroBatch& batch, const at::Device& device) {
  const LossRows loss = FindLossRows(batch);
  const std::vector<int32_t> starts(batch.segment_starts.begin(), batch.segment_starts.end());
  Layout layout;
  const int64_t tokens_at = layout.Add(batch.tokens.size_bytes());
  const int64_t positions_at = layout.Add(batch.positions.size_bytes());
  const int64_t rows_at = layout.Add(loss.rows.size() * sizeof(int64_t));
  const int64_t targets_at = layout.Add(loss.targets.size() * sizeof(int64_t));
  const int64_t weights_at = layout.Add(loss.weights.size() * sizeof(float));
  const int64_t starts_at = layout.Add(starts.size() * sizeof(int32_t));

  const at::Tensor host = at::empty(
      {layout.size()}, at::TensorOptions().dtype(at::kByte).pinned_memory(device.is_cuda()));
  auto* bytes = host.mutable_data_ptr<uint8_t>();
  const auto put = [bytes](int64_t at, const auto& values) {
    if (!values.empty()) std::memcpy(bytes + at, values.data(), std::span(values).size_bytes());
  };
  put(tokens_at, batch.tokens);
  put(positions_at, batch.positions);
  put(rows_at, loss.rows);
  put(targets_at, loss.targets);
  put(weights_at, loss.weights);
  put(starts_at, starts);
  // On the compute stream, so before every kernel that reads it.
  const at::Tensor there = host.to(device, at::kByte, /*non_blocking=*/true);
  const auto view = [&there](int64_t at, size_t count, at::ScalarType type) {
    const auto size = static_cast<int64_t>(count * c10::elementSize(type));
    return there.narrow(0, at, size).view(type);
  };
  BatchTensors tensors;
  tensors.has_targets = !loss.rows.empty();
  tensors.input.tokens_T = view(tokens_at, batch.tokens.size(), at::kLong);
  tensors.input.positions_T = view(positions_at, batch.positions.size(), at::kLong);
  tensors.input.segment_starts = batch.segment_starts;
  tensors.input.starts_B = view(starts_at, starts.size(), at::kInt);
  tensors.targets_T = view(targets_at, loss.targets.size(), at::kLong);
  tensors.loss_weight_T = view(weights_at, loss.weights.size(), at::kFloat);
  tensors.input.rows_R = view(rows_at, loss.rows.size(), at::kLong);
  return tensors;
}

BatchTensors BatchOn(const at::Device& device, const MicroBatch& batch) {
  return device.is_cpu() && !AtenOnly::on() ? WrapBatch(batch) : CopyBatch(batch, device);
}

}  // namespace breakeven
