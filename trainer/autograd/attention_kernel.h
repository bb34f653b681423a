// Pure. Causal attention inside one segment, forward and backward, with the rotation of queries and
// keys done on the way: nothing but the segment's rows is read and written, and nothing is kept but
// a logarithm a row and head.
//
// The products are too small for a BLAS: examples of fine-tuning have tens to hundreds of tokens.
// So each pair (segment, key/value head) is one piece of work that lives in the second-level cache.
// Sums are float32; so are factors, but where rows are bfloat16 and the processor multiplies that
// (attention_bfloat16.h). Blocks of query rows, whole score rows, two passes
// (softmax needs no running rescale); backward recomputes scores from the logarithm, as
// FlashAttention does (Dao et al. 2022). A result depends on its segment alone, not on how segments
// were packed, nor on threads.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_ATTENTION_KERNEL_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_ATTENTION_KERNEL_H_

#include <cstdint>

#include "trainer/autograd/bfloat16.h"

namespace breakeven {

// One segment of L tokens; rows as in block_functions.h: A = (H + 2K)·D columns. T is float or
// BFloat16.
template <typename T>
struct AttentionSegment {
  int64_t length = 0;  // L
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  float scale = 1;             // of scores; above 0
  const float* cos = nullptr;  // [L, D/2], or nullptr: no rotation
  const float* sin = nullptr;
  const T* qkv = nullptr;         // [L, A], not rotated
  T* out = nullptr;               // [L, H·D]; backward only reads it
  float* log_sum_exp = nullptr;   // [L, H]; backward only reads it
  const T* grad_out = nullptr;    // [L, H·D]; backward only
  T* grad_qkv = nullptr;          // [L, A]; backward only
  bool float32_products = false;  // of bfloat16 too, so that one processor can test both kernels
};

// Floats that the calls below need as scratch, for segments of at most `length` tokens.
int64_t AttentionScratch(int64_t length, int64_t head_dim);

// The query heads that share key/value head `kv_head`. Calls for different heads may run side by
// side, each with a scratch of its own.
void AttendForward(const AttentionSegment<float>& segment, int64_t kv_head, float* scratch);
void AttendForward(const AttentionSegment<BFloat16>& segment, int64_t kv_head, float* scratch);
void AttendBackward(const AttentionSegment<float>& segment, int64_t kv_head, float* scratch);
void AttendBackward(const AttentionSegment<BFloat16>& segment, int64_t kv_head, float* scratch);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_ATTENTION_KERNEL_H_
