// The differentiable pieces of a decoder block between its matrix products. Needs ATen only.
//
// Each has a fused pass for float32 and bfloat16 on CPU; elsewhere it is done in plain ATen operations
// (aten_paths.h), with the same things kept for backward and the same gradient contract. On CPU results
// do not depend on the number of threads.
//
// In bfloat16 the residual stream, norms' weights and statistics, rotary angles and everything
// inside a function are float32; what goes from one function to the next is bfloat16.
//
// Shape suffixes: T tokens, C hidden size, F width of the feed-forward layer, H heads, K key/value
// heads, D head size, A = (H + 2K)·D columns of queries, keys and values side by side.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_BLOCK_FUNCTIONS_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_BLOCK_FUNCTIONS_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "trainer/autograd/gradient_sink.h"
#include "trainer/autograd/norm_kernels.h"

namespace breakeven {

struct NormWeights {
  NormKind kind = NormKind::kRms;
  at::Tensor weight_C;  // leaf
  at::Tensor bias_C;    // leaf; layer norm only
  double epsilon = 0;
  at::ScalarType output_type = at::kFloat;  // of what the next products read
  GradientSink* sink = nullptr;
};

struct ResidualNormResult {
  at::Tensor residual_TC;  // residual + update, float32: the stream that goes on
  at::Tensor normed_TC;    // output_type
};

// Adds what a sub-block computed to the residual stream and normalises the sum for the next one.
// `update`, float32 or output_type, undefined: nothing to add (the first norm). Gradient contract:
// fused_head_loss.h.
ResidualNormResult ResidualNorm(const at::Tensor& residual_TC, const at::Tensor& update_TC,
                                const NormWeights& norm);

// gate_up [T, 2F], gates in front → silu(gate) · up, [T, F].
at::Tensor SwiGlu(const at::Tensor& gate_up_T2F);

struct AttentionShape {
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
};

// Rotary angles of every token, [T, D/2]; both undefined: no rotation.
struct RotaryAngles {
  at::Tensor cos;
  at::Tensor sin;
};

// Rotates queries and keys, then attends causally inside each segment [segment_starts[b],
// segment_starts[b+1]): [T, A] → [T, H·D]. Scale 1/√D. A segment's result depends on that segment
// alone (attention_kernel.h). `starts_B`: the same as int32 on a GPU, where one of its kernels wants
// them; undefined, they are copied there, for which the host waits.
at::Tensor PackedAttention(const at::Tensor& qkv_TA, const RotaryAngles& angles,
                           const AttentionShape& shape, const std::vector<int64_t>& segment_starts,
                           const at::Tensor& starts_B = {});

// Attention over a part of the keys, to be merged with attention over other keys: its value, and the
// logarithm of what its softmax divided by.
struct AttentionPart {
  at::Tensor out_TX;          // [T, H·D], in the type of what it was given
  at::Tensor log_sum_exp_TH;  // float32
};
// PackedAttention over queries and keys that are rotated already, no gradient. Where HasFusedKernel only.
AttentionPart PackedAttentionPart(const at::Tensor& qkv_TA, const AttentionShape& shape,
                                  const std::vector<int64_t>& segment_starts);

// The rotation alone, in place, without gradient: for cached attention.
void RotateInPlace(at::Tensor& qkv_TA, const RotaryAngles& angles, const AttentionShape& shape);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_BLOCK_FUNCTIONS_H_
