// Queries are those of the new tokens, packed end to end; keys and values lie in the cache.
#include "trainer/model/cached_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "comm/base/error.h"
#include "trainer/autograd/element_type.h"

namespace breakeven {
namespace {

// Neighbouring sequences that hold equally much and get equally much run as one batch.
struct CacheGroup {
  int64_t first = 0;       // sequence
  int64_t count = 0;       // sequences
  int64_t start = 0;       // first token
  int64_t new_tokens = 0;  // of each
  int64_t old_tokens = 0;  // of each
};

std::vector<CacheGroup> GroupSequences(const std::vector<int64_t>& segment_starts,
                                       const KvCache& cache) {
  std::vector<CacheGroup> groups;
  for (int64_t b = 0; b < cache.num_sequences(); ++b) {
    const int64_t start = segment_starts[static_cast<size_t>(b)];
    const int64_t new_tokens = segment_starts[static_cast<size_t>(b) + 1] - start;
    if (new_tokens == 0) continue;
    const CacheGroup* last = groups.empty() ? nullptr : &groups.back();
    if (last != nullptr && last->first + last->count == b && last->new_tokens == new_tokens &&
        last->old_tokens == cache.own_length(b)) {
      ++groups.back().count;
    } else {
      groups.push_back({b, 1, start, new_tokens, cache.own_length(b)});
    }
  }
  return groups;
}

// [new, old + new], 0 where the new token may look and -inf where not. The kernels' own is_causal
// would align the triangle to the top left, not to the newest token.
at::Tensor MaskBehind(int64_t old_tokens, int64_t new_tokens, const at::TensorOptions& options) {
  return at::full({new_tokens, old_tokens + new_tokens}, -std::numeric_limits<float>::infinity(),
                  options)
      .triu_(old_tokens + 1);
}

void WriteToCache(const at::Tensor& qkv_TA, const AttentionShape& shape, KvCache& cache,
                  int64_t layer, const std::vector<CacheGroup>& groups) {
  const int64_t query_width = shape.num_heads * shape.head_dim;
  const int64_t key_width = shape.num_kv_heads * shape.head_dim;
  for (const CacheGroup& group : groups) {
    const at::Tensor rows = qkv_TA.narrow(0, group.start, group.count * group.new_tokens);
    cache.Write(layer, group.first, group.count, rows.narrow(1, query_width, key_width),
                rows.narrow(1, query_width + key_width, key_width));
  }
}

struct KeysAndValues {
  at::Tensor keys_BKLD;
  at::Tensor values_BKLD;
};

// Attention of queries [B, K, N, D]: value and float32 log-sum-exp [B, K, N]. `mask` is added to the
// scores; with an undefined one every query sees all keys.
std::pair<at::Tensor, at::Tensor> Attend(const at::Tensor& query_BKND, const KeysAndValues& held,
                                         const at::Tensor& mask) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(query_BKND.size(3)));
  if (HasFusedKernel(query_BKND) && !mask.defined()) {
    const auto [out, log_sum_exp] = at::_scaled_dot_product_flash_attention_for_cpu(
        query_BKND, held.keys_BKLD, held.values_BKLD, /*dropout_p=*/0.0, /*is_causal=*/false,
        /*attn_mask=*/std::nullopt, scale);
    return {out, log_sum_exp};
  }
  const at::ScalarType type = SumTypeOf(query_BKND);
  at::Tensor scores =
      at::matmul(query_BKND.to(type), held.keys_BKLD.to(type).transpose(2, 3)).mul_(scale);
  if (mask.defined()) scores.add_(mask);
  const at::Tensor log_sum_exp = at::logsumexp(scores, 3);
  return {at::matmul(scores.sub_(log_sum_exp.unsqueeze(3)).exp_(), held.values_BKLD.to(type)),
          log_sum_exp};
}

// What `count` sequences of `new_tokens` each ask, from row `begin` on, over keys of each one's own, [count, K, L, D]. The
// heads that share a key/value head are rows of one product. `mask` is [new_tokens, L] or undefined.
void AttendRows(const at::Tensor& qkv_TA, const AttentionShape& shape, const KeysAndValues& held,
                int64_t begin, int64_t count, int64_t new_tokens, const at::Tensor& mask,
                AttentionPart& part) {
  const int64_t kv_heads = shape.num_kv_heads;
  const int64_t group = shape.num_heads / kv_heads;
  const int64_t rows = count * new_tokens;
  const at::Tensor query = qkv_TA.narrow(0, begin, rows)
                               .narrow(1, 0, shape.num_heads * shape.head_dim)
                               .unflatten(1, {kv_heads, group, shape.head_dim})
                               .unflatten(0, {count, new_tokens})
                               .permute({0, 2, 3, 1, 4})
                               .reshape({count, kv_heads, group * new_tokens, shape.head_dim});
  const auto [out, log_sum_exp] =
      Attend(query, held, mask.defined() ? mask.repeat({group, 1}) : mask);
  part.out_TX.narrow(0, begin, rows)
      .view({count, new_tokens, kv_heads, group, shape.head_dim})
      .copy_(out.reshape({count, kv_heads, group, new_tokens, shape.head_dim})
                 .permute({0, 3, 1, 2, 4}));
  part.log_sum_exp_TH.narrow(0, begin, rows)
      .view({count, new_tokens, kv_heads, group})
      .copy_(log_sum_exp.reshape({count, kv_heads, group, new_tokens}).permute({0, 3, 1, 2}));
}

KeysAndValues Held(const KvCache& cache, int64_t layer, int64_t first, int64_t count,
                   int64_t length) {
  return {cache.Keys(layer, first, count, length), cache.Values(layer, first, count, length)};
}

// Parts that are still to be merged are kept in the type of sums: merging rounds nothing.
AttentionPart EmptyPart(const at::Tensor& qkv_TA, const AttentionShape& shape) {
  const at::TensorOptions options = qkv_TA.options().dtype(SumTypeOf(qkv_TA));
  return {at::empty({qkv_TA.size(0), shape.num_heads * shape.head_dim}, options),
          at::empty({qkv_TA.size(0), shape.num_heads}, options)};
}

bool AllNew(const std::vector<CacheGroup>& groups) {
  return std::all_of(groups.begin(), groups.end(),
                     [](const CacheGroup& group) { return group.old_tokens == 0; });
}

// Sequences among themselves: their own tokens, those just given to the cache included.
AttentionPart AttendOwn(const at::Tensor& qkv_TA, const AttentionShape& shape,
                        const std::vector<int64_t>& segment_starts, const KvCache& cache,
                        int64_t layer, const std::vector<CacheGroup>& groups) {
  if (HasFusedKernel(qkv_TA) && AllNew(groups)) {
    AttentionPart part = PackedAttentionPart(qkv_TA, shape, segment_starts);
    part.out_TX = part.out_TX.to(SumTypeOf(qkv_TA));
    return part;
  }
  AttentionPart part = EmptyPart(qkv_TA, shape);
  for (const CacheGroup& group : groups) {
    at::Tensor mask;
    if (group.new_tokens > 1) {
      mask = MaskBehind(group.old_tokens, group.new_tokens, qkv_TA.options());
    }
    const int64_t length = group.old_tokens + group.new_tokens;
    AttendRows(qkv_TA, shape, Held(cache, layer, group.first, group.count, length), group.start,
               group.count, group.new_tokens, mask, part);
  }
  return part;
}

// part = attention over the keys of both.
void MergeInto(AttentionPart& part, const AttentionPart& other, const AttentionShape& shape) {
  const at::Tensor weight_TH1 =
      at::sigmoid(other.log_sum_exp_TH - part.log_sum_exp_TH).unsqueeze(2);
  const std::vector<int64_t> heads = {shape.num_heads, shape.head_dim};
  at::Tensor out_THD = part.out_TX.unflatten(1, heads);
  out_THD.lerp_(other.out_TX.unflatten(1, heads), weight_TH1);
  part.log_sum_exp_TH = at::logaddexp(part.log_sum_exp_TH, other.log_sum_exp_TH);
}

// Sequences behind shared ones: each one's own tokens causally, then level by level what its
// ancestors hold, merged by their log-sum-exps (as cascade attention in FlashInfer does). Shared keys
// are read where they lie, once for all that share them.
at::Tensor TreeAttention(const at::Tensor& qkv_TA, const AttentionShape& shape,
                         const std::vector<int64_t>& segment_starts, const KvCache& cache,
                         int64_t layer, const std::vector<CacheGroup>& groups) {
  AttentionPart part = AttendOwn(qkv_TA, shape, segment_starts, cache, layer, groups);
  AttentionPart level = EmptyPart(qkv_TA, shape);
  std::vector<int64_t> ancestor(static_cast<size_t>(cache.num_sequences()));
  std::iota(ancestor.begin(), ancestor.end(), 0);
  for (const KvCache* held = &cache; held->parent() != nullptr; held = held->parent()) {
    for (int64_t& b : ancestor) b = held->parent_of(b);
    for (size_t first = 0; first < ancestor.size();) {
      size_t last = first;
      while (last < ancestor.size() && ancestor[last] == ancestor[first]) ++last;
      const int64_t begin = segment_starts[first];
      const int64_t num_rows = segment_starts[last] - begin;
      if (num_rows > 0) {  // one batch: all rows look at the same keys
        const int64_t length = held->parent()->own_length(ancestor[first]);
        AttendRows(qkv_TA, shape, Held(*held->parent(), layer, ancestor[first], 1, length), begin,
                   /*count=*/1, num_rows, /*mask=*/{}, level);
      }
      first = last;
    }
    MergeInto(part, level, shape);
  }
  return part.out_TX.to(qkv_TA.scalar_type());
}

}  // namespace

at::Tensor CachedAttention(at::Tensor qkv_TA, const RotaryAngles& angles,
                           const AttentionShape& shape, const std::vector<int64_t>& segment_starts,
                           KvCache& cache, int64_t layer) {
  RotateInPlace(qkv_TA, angles, shape);
  const std::vector<CacheGroup> groups = GroupSequences(segment_starts, cache);
  WriteToCache(qkv_TA, shape, cache, layer, groups);
  if (cache.parent() != nullptr) {
    return TreeAttention(qkv_TA, shape, segment_starts, cache, layer, groups);
  }
  if (HasFusedKernel(qkv_TA) && AllNew(groups)) {
    return PackedAttentionPart(qkv_TA, shape, segment_starts).out_TX;
  }
  const int64_t dim = shape.head_dim;
  const int64_t query_width = shape.num_heads * dim;
  const at::Tensor out_TC = at::empty({qkv_TA.size(0), query_width}, qkv_TA.options());
  for (const CacheGroup& group : groups) {
    const int64_t num_tokens = group.count * group.new_tokens;
    const at::Tensor rows = qkv_TA.narrow(0, group.start, num_tokens);
    const at::Tensor query = rows.narrow(1, 0, query_width)
                                 .unflatten(1, {shape.num_heads, dim})
                                 .unflatten(0, {group.count, group.new_tokens})
                                 .transpose(1, 2);
    const bool from_empty = group.old_tokens == 0;
    std::optional<at::Tensor> mask;
    if (!from_empty && group.new_tokens > 1) {
      mask = MaskBehind(group.old_tokens, group.new_tokens, qkv_TA.options());
    }
    const int64_t length = group.old_tokens + group.new_tokens;
    at::Tensor key = cache.Keys(layer, group.first, group.count, length);
    at::Tensor value = cache.Values(layer, group.first, group.count, length);
    // In float32 a GPU would take enable_gqa for a reason to use its slowest kernel.
    const int64_t per_key = shape.num_heads / shape.num_kv_heads;
    const bool expands = per_key > 1 && !HasFusedKernel(qkv_TA);
    if (expands) {
      key = key.repeat_interleave(per_key, 1);
      value = value.repeat_interleave(per_key, 1);
    }
    const at::Tensor out = at::scaled_dot_product_attention(
        query, key, value, mask, /*dropout_p=*/0.0,
        /*is_causal=*/from_empty, 1.0 / std::sqrt(static_cast<double>(dim)),
        /*enable_gqa=*/per_key > 1 && !expands);
    out_TC.narrow(0, group.start, num_tokens)
        .view({group.count, group.new_tokens, shape.num_heads, dim})
        .copy_(out.transpose(1, 2));
  }
  return out_TC;
}

}  // namespace breakeven
