// Pure. Attention of attention_kernel.h with products in bfloat16 that are summed in float32, for
// processors with AVX512-BF16: twice as many in an instruction as in float32. Reached by way of
// AttendForward and AttendBackward.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_ATTENTION_BFLOAT16_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_ATTENTION_BFLOAT16_H_

#include <cstdint>

#include "trainer/autograd/attention_kernel.h"

namespace breakeven::attention_bfloat16 {

// Whether this processor has what these need; heads of an odd size, of which there are none, are not theirs.
bool Serves(int64_t head_dim);

// Floats of scratch, for segments of at most `length` tokens.
int64_t ScratchSize(int64_t length, int64_t head_dim);

// As AttendForward and AttendBackward. Rounded to bfloat16 are, beside what comes in as that: rotated
// queries and keys (not scaled: scores are, in float32), exponentials of scores in the forward pass, in
// the backward pass probabilities and gradients of scores. The instruction takes subnormal factors as 0.
void Forward(const AttentionSegment<BFloat16>& segment, int64_t kv_head, float* scratch);
void Backward(const AttentionSegment<BFloat16>& segment, int64_t kv_head, float* scratch);

}  // namespace breakeven::attention_bfloat16

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_ATTENTION_BFLOAT16_H_
