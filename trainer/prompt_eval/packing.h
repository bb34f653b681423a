// Token lists → the packed input of a model, for scoring and generation.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_PACKING_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_PACKING_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <vector>

#include "trainer/model/model.h"

namespace breakeven {

// Collects segments on the host.
class SegmentPacker {
 public:
  // Appends a segment whose first token has position `first_position`. May be empty.
  void Add(std::span<const int32_t> tokens, int64_t first_position);
  int64_t num_tokens() const { return starts_.back(); }
  int64_t num_segments() const { return static_cast<int64_t>(starts_.size()) - 1; }
  int64_t segment_start(int64_t segment) const { return starts_[static_cast<size_t>(segment)]; }
  PackedInput Pack(const at::Device& device) const;

 private:
  std::vector<int64_t> tokens_;
  std::vector<int64_t> positions_;
  std::vector<int64_t> starts_ = {0};
};

// int64 tensor [n] that owns its memory.
at::Tensor IndexTensor(const std::vector<int64_t>& values, const at::Device& device);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_PACKING_H_
