#include "trainer/prompt_eval/packing.h"

namespace breakeven {

void SegmentPacker::Add(std::span<const int32_t> tokens, int64_t first_position) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens_.push_back(tokens[i]);
    positions_.push_back(first_position + static_cast<int64_t>(i));
  }
  starts_.push_back(static_cast<int64_t>(tokens_.size()));
}

PackedInput SegmentPacker::Pack(const at::Device& device) const {
  PackedInput input;
  input.tokens_T = IndexTensor(tokens_, device);
  input.positions_T = IndexTensor(positions_, device);
  input.segment_starts = starts_;
  return input;
}

at::Tensor IndexTensor(const std::vector<int64_t>& values, const at::Device& device) {
  const at::Tensor host =
      at::from_blob(const_cast<int64_t*>(values.data()), {static_cast<int64_t>(values.size())},
                    at::TensorOptions().dtype(at::kLong));
  return device.is_cpu() ? host.clone() : host.to(device);
}

}  // namespace breakeven
