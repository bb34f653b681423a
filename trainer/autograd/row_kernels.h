// Pure. The other element-wise row passes: rotary positions, SwiGLU, softmax with cross-entropy.
// Contiguous rows.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_ROW_KERNELS_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_ROW_KERNELS_H_

#include <cstdint>

#include "trainer/autograd/bfloat16.h"

namespace breakeven {

// Rotates one token's heads [num_heads, D] by its angles, in place: with half = D/2 and i < half,
//   x[i] ← x[i]·cos[i] - x[i+half]·sin[i],   x[i+half] ← x[i+half]·cos[i] + x[i]·sin[i]
// (the halves layout of Hugging Face's Llama).
void RotateHeads(float* heads, int64_t num_heads, int64_t head_dim, const float* cos,
                 const float* sin);
void RotateHeads(BFloat16* heads, int64_t num_heads, int64_t head_dim, const float* cos,
                 const float* sin);

// gate_up [rows, 2F]: each row is F gates, then F ups. out [rows, F] = silu(gate) · up. Rows
// [begin, end).
void SwiGluForward(const float* gate_up, float* out, int64_t width, int64_t begin, int64_t end);
void SwiGluForward(const BFloat16* gate_up, BFloat16* out, int64_t width, int64_t begin,
                   int64_t end);
// grad_gate_up [rows, 2F] from grad_out [rows, F]; may be gate_up itself.
void SwiGluBackward(const float* gate_up, const float* grad_out, float* grad_gate_up, int64_t width,
                    int64_t begin, int64_t end);
void SwiGluBackward(const BFloat16* gate_up, const BFloat16* grad_out, BFloat16* grad_gate_up,
                    int64_t width, int64_t begin, int64_t end);

struct RowSoftmax {
  float max = 0;
  double log_sum_exp = 0;  // natural log of Σ exp(logit), the maximum included
};
// NaN in the row gives NaN.
RowSoftmax SoftmaxOfRow(const float* logits, int64_t vocabulary);
RowSoftmax SoftmaxOfRow(const BFloat16* logits, int64_t vocabulary);
// Replaces the logits of a row by scale · (softmax - onehot(target)): the gradient of scale ·
// cross-entropy.
void CrossEntropyGradient(float* logits, int64_t vocabulary, const RowSoftmax& softmax,
                          int64_t target, float scale);
void CrossEntropyGradient(BFloat16* logits, int64_t vocabulary, const RowSoftmax& softmax,
                          int64_t target, float scale);
// Lowest index of the largest logit.
int64_t ArgMaxOfRow(const float* logits, int64_t vocabulary, float max);

// to[i] += from[i].
void AddTo(float* to, const float* from, int64_t count);

float ToFloat(BFloat16 value);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_ROW_KERNELS_H_
