// For the functions of this folder: where a parameter's gradient goes (the contract stands in
// fused_head_loss.h).
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_GRADIENT_SINK_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_GRADIENT_SINK_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

namespace breakeven {

// Of a model: how gradients meet what stands in .grad. Parameters refer to it (LinearWeights, NormWeights,
// …), the owner of the buffer sets it (optim/gradient_buckets.h). At the first micro-batch of a step
// nothing of that step is there yet: gradients replace what is, so nobody needs to zero it before.
struct GradientSink {
  bool overwrites = false;  // else they are added
  bool used = false;        // set by whoever writes one
};

// Asked once for each gradient that is written: true when it replaces. nullptr: always added.
inline bool Overwrites(GradientSink* sink) {
  if (sink == nullptr) return false;
  sink->used = true;
  return sink->overwrites;
}

// For AutogradContext::saved_data. The sink must outlive the backward.
inline int64_t HoldSink(GradientSink* sink) {
  return static_cast<int64_t>(reinterpret_cast<intptr_t>(sink));
}
inline GradientSink* HeldSink(int64_t held) {
  return reinterpret_cast<GradientSink*>(static_cast<intptr_t>(held));
}

// True when backward must write into parameter.grad itself and hand autograd nothing.
inline bool OwnsGradient(const at::Tensor& parameter) {
  return parameter.is_leaf() && parameter.grad().defined();
}

// A whole gradient into its place.
inline void PutGradient(const at::Tensor& place, const at::Tensor& gradient, bool overwrites) {
  overwrites ? place.copy_(gradient) : place.add_(gradient);
}

// The tensors as one, concatenated along dimension 0: a view of the memory when each starts where
// the one before ends, else undefined.
inline at::Tensor AdjacentView(at::TensorList parts) {
  if (parts.size() == 1) return parts[0].detach();
  int64_t rows = 0;
  int64_t next_offset = parts[0].storage_offset();
  for (const at::Tensor& part : parts) {
    if (!part.is_contiguous() || !part.is_alias_of(parts[0]) ||
        part.storage_offset() != next_offset) {
      return {};
    }
    next_offset += part.numel();
    rows += part.size(0);
  }
  std::vector<int64_t> sizes = parts[0].sizes().vec();
  sizes[0] = rows;
  return parts[0].detach().as_strided(sizes, parts[0].strides());
}

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_GRADIENT_SINK_H_
