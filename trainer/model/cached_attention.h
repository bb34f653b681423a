// Attention of tokens that go on behind what a cache holds: generation, and prompts that share their beginnings.
#ifndef BREAKEVEN_TRAINER_MODEL_CACHED_ATTENTION_H_
#define BREAKEVEN_TRAINER_MODEL_CACHED_ATTENTION_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "trainer/autograd/block_functions.h"
#include "trainer/model/kv_cache.h"

namespace breakeven {

// Causal attention of new tokens behind what `cache` and its ancestors hold for their sequences: [T, A] → [T, H·D],
// no gradient. Rotates qkv_TA in place and writes its keys and values of `layer` to the cache.
at::Tensor CachedAttention(at::Tensor qkv_TA, const RotaryAngles& angles,
                           const AttentionShape& shape, const std::vector<int64_t>& segment_starts,
                           KvCache& cache, int64_t layer);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_MODEL_CACHED_ATTENTION_H_
