// Rotary position angles (Su et al., RoFormer), with Llama 3's stretched frequencies.
#ifndef BREAKEVEN_TRAINER_MODEL_ROTARY_H_
#define BREAKEVEN_TRAINER_MODEL_ROTARY_H_

#include <ATen/ATen.h>

#include "trainer/autograd/block_functions.h"
#include "trainer/model/model_config.h"

namespace breakeven {

class Rotary {
 public:
  // Frequencies in float32 by the operations transformers uses, in its order: at position 8,000 one
  // unit in the last place of a frequency would turn a head by 5e-4.
  // Computed on the host whatever the device, so that all have the same.
  Rotary(const ModelConfig& config, const at::Device& device);

  // cos and sin, [T, D/2] float32, of positions_T (int64); computed once a forward pass and shared
  // by all layers.
  RotaryAngles Angles(const at::Tensor& positions_T) const;

 private:
  at::Tensor frequencies_;  // [D/2], radians a token
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_MODEL_ROTARY_H_
