#include "trainer/model/decoder.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "comm/base/error.h"
#include "trainer/autograd/element_type.h"
#include "trainer/autograd/recompute.h"

namespace breakeven {

void ParameterTable::Declare(const std::string& name, std::vector<int64_t> shape, bool decays) {
  ParameterRange range;
  range.name = name;
  range.shape = std::move(shape);
  range.decays = decays;
  declared_.push_back(std::move(range));
}

void ParameterTable::Allocate() {
  storage_.Allocate(std::move(declared_));
  for (const ParameterRange& range : storage_.ranges) {
    NamedParameter parameter;
    parameter.name = range.name;
    parameter.tensor = ViewOf(storage_.parameters_P, range);
    parameter.tensor.set_requires_grad(true);
    parameter.decays = range.decays;
    index_.emplace(range.name, parameters_.size());
    parameters_.push_back(std::move(parameter));
  }
}

const at::Tensor& ParameterTable::operator[](const std::string& name) const {
  const auto found = index_.find(name);
  BE_CHECK(found != index_.end(), name);
  return parameters_[found->second].tensor;
}

at::Tensor ParameterTable::CopyOf(const std::string& name) const {
  if (!storage_.copies_P.defined()) return {};
  const auto found = index_.find(name);
  BE_CHECK(found != index_.end(), name);
  return ViewOf(storage_.copies_P, storage_.ranges[found->second]);
}

LinearWeights ParameterTable::Linear(const std::vector<std::string>& names, bool has_bias,
                                     bool input_major) const {
  LinearWeights parts;
  parts.input_major = input_major;
  parts.sink = sink();
  const auto take = [this](const std::string& name, std::vector<at::Tensor>& leaves,
                           std::vector<at::Tensor>& copies) {
    leaves.push_back((*this)[name]);
    if (const at::Tensor copy = CopyOf(name); copy.defined()) copies.push_back(copy);
  };
  for (const std::string& name : names) {
    take(name + ".weight", parts.weights, parts.weight_copies);
    if (has_bias) take(name + ".bias", parts.biases, parts.bias_copies);
  }
  return parts;
}

namespace {

bool Keeps(const Recompute recompute) {
  return recompute == Recompute::kNone || !at::GradMode::is_enabled();
}

at::Tensor Sum(const ResidualStream& stream) {
  return stream.update_TC.defined() ? stream.residual_TC + stream.update_TC : stream.residual_TC;
}

}  // namespace

ResidualStream RunBlock(Recompute recompute,
                        const std::function<ResidualStream(const ResidualStream&)>& block,
                        const ResidualStream& stream) {
  if (Keeps(recompute) || recompute != Recompute::kFull) return block(stream);
  const auto body = [block](const at::Tensor& input_TC) { return Sum(block({input_TC, {}})); };
  return {Recomputed(body, Sum(stream)), {}};
}

std::function<at::Tensor()> NormAgain(Recompute recompute, const at::Tensor& residual_TC,
                                      const NormWeights& norm) {
  if (Keeps(recompute) || recompute != Recompute::kSelective) return {};
  return [residual = residual_TC.detach(), norm] {
    return ResidualNorm(residual, {}, norm).normed_TC;
  };
}

std::function<at::Tensor()> ActivationAgain(Recompute recompute, const at::Tensor& input,
                                            at::Tensor (*activation)(const at::Tensor&)) {
  if (Keeps(recompute) || recompute != Recompute::kSelective) return {};
  return [kept = input.detach(), activation] { return activation(kept); };
}

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
  at::Tensor keys_1KLD;
  at::Tensor values_1KLD;
};

// Attention of queries [1, K, N, D]: value and float32 log-sum-exp [1, K, N]. `mask` is added to the
// scores; with an undefined one every query sees all keys.
std::pair<at::Tensor, at::Tensor> Attend(const at::Tensor& query_1KND, const KeysAndValues& held,
                                         const at::Tensor& mask) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(query_1KND.size(3)));
  if (HasFusedKernel(query_1KND) && !mask.defined()) {
    const auto [out, log_sum_exp] = at::_scaled_dot_product_flash_attention_for_cpu(
        query_1KND, held.keys_1KLD, held.values_1KLD, /*dropout_p=*/0.0, /*is_causal=*/false,
        /*attn_mask=*/std::nullopt, scale);
    return {out, log_sum_exp};
  }
  const at::ScalarType type = SumTypeOf(query_1KND);
  at::Tensor scores =
      at::matmul(query_1KND.to(type), held.keys_1KLD.to(type).transpose(2, 3)).mul_(scale);
  if (mask.defined()) scores.add_(mask);
  const at::Tensor log_sum_exp = at::logsumexp(scores, 3);
  return {at::matmul(scores.sub_(log_sum_exp.unsqueeze(3)).exp_(), held.values_1KLD.to(type)),
          log_sum_exp};
}

// Rows [begin, end) of the part: their queries over these keys. The heads that share a key/value head are
// rows of one product. `mask` is [rows, keys] or undefined.
void AttendRows(const at::Tensor& qkv_TA, const AttentionShape& shape, const KeysAndValues& held,
                int64_t begin, int64_t end, const at::Tensor& mask, AttentionPart& part) {
  const int64_t kv_heads = shape.num_kv_heads;
  const int64_t group = shape.num_heads / kv_heads;
  const int64_t count = end - begin;
  const at::Tensor query = qkv_TA.narrow(0, begin, count)
                               .narrow(1, 0, shape.num_heads * shape.head_dim)
                               .unflatten(1, {kv_heads, group, shape.head_dim})
                               .permute({1, 2, 0, 3})
                               .reshape({1, kv_heads, group * count, shape.head_dim});
  const auto [out, log_sum_exp] =
      Attend(query, held, mask.defined() ? mask.repeat({group, 1}) : mask);
  part.out_TX.narrow(0, begin, count)
      .view({count, kv_heads, group, shape.head_dim})
      .copy_(out.reshape({kv_heads, group, count, shape.head_dim}).permute({2, 0, 1, 3}));
  part.log_sum_exp_TH.narrow(0, begin, count)
      .view({count, kv_heads, group})
      .copy_(log_sum_exp.reshape({kv_heads, group, count}).permute({2, 0, 1}));
}

KeysAndValues Held(const KvCache& cache, int64_t layer, int64_t b, int64_t length) {
  return {cache.Keys(layer, b, 1, length), cache.Values(layer, b, 1, length)};
}

// Parts that are still to be merged are kept in the type of sums: merging rounds nothing.
AttentionPart EmptyPart(const at::Tensor& qkv_TA, const AttentionShape& shape) {
  const at::TensorOptions options = qkv_TA.options().dtype(SumTypeOf(qkv_TA));
  return {at::empty({qkv_TA.size(0), shape.num_heads * shape.head_dim}, options),
          at::empty({qkv_TA.size(0), shape.num_heads}, options)};
}

// New sequences among themselves: what the cache was just given.
AttentionPart AttendOwn(const at::Tensor& qkv_TA, const AttentionShape& shape,
                        const std::vector<int64_t>& segment_starts, const KvCache& cache,
                        int64_t layer) {
  if (HasFusedKernel(qkv_TA)) {
    AttentionPart part = PackedAttentionPart(qkv_TA, shape, segment_starts);
    part.out_TX = part.out_TX.to(SumTypeOf(qkv_TA));
    return part;
  }
  AttentionPart part = EmptyPart(qkv_TA, shape);
  for (int64_t b = 0; b < cache.num_sequences(); ++b) {
    const int64_t begin = segment_starts[static_cast<size_t>(b)];
    const int64_t length = segment_starts[static_cast<size_t>(b) + 1] - begin;
    if (length == 0) continue;
    AttendRows(qkv_TA, shape, Held(cache, layer, b, length), begin, begin + length,
               MaskBehind(0, length, qkv_TA.options()), part);
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

// New sequences behind shared ones: each one's own tokens causally, then level by level what its
// ancestors hold, merged by their log-sum-exps (as cascade attention in FlashInfer does). Shared keys
// are read where they lie, once for all that share them.
at::Tensor TreeAttention(const at::Tensor& qkv_TA, const AttentionShape& shape,
                         const std::vector<int64_t>& segment_starts, const KvCache& cache,
                         int64_t layer) {
  AttentionPart part = AttendOwn(qkv_TA, shape, segment_starts, cache, layer);
  AttentionPart level = EmptyPart(qkv_TA, shape);
  std::vector<int64_t> ancestor(static_cast<size_t>(cache.num_sequences()));
  std::iota(ancestor.begin(), ancestor.end(), 0);
  for (const KvCache* held = &cache; held->parent() != nullptr; held = held->parent()) {
    for (int64_t& b : ancestor) b = held->parent_of(b);
    for (size_t first = 0; first < ancestor.size();) {
      size_t last = first;
      while (last < ancestor.size() && ancestor[last] == ancestor[first]) ++last;
      if (segment_starts[last] > segment_starts[first]) {
        const int64_t held_tokens = held->parent()->own_length(ancestor[first]);
        AttendRows(qkv_TA, shape, Held(*held->parent(), layer, ancestor[first], held_tokens),
                   segment_starts[first], segment_starts[last], /*mask=*/{}, level);
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
    BE_CHECK(std::all_of(groups.begin(), groups.end(),
                         [](const CacheGroup& group) { return group.old_tokens == 0; }),
             "a sequence behind a parent gets its tokens in one call");
    return TreeAttention(qkv_TA, shape, segment_starts, cache, layer);
  }
  if (HasFusedKernel(qkv_TA) &&
      std::all_of(groups.begin(), groups.end(),
                  [](const CacheGroup& group) { return group.old_tokens == 0; })) {
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

void CheckInput(const PackedInput& input, const ModelConfig& config, const KvCache* cache) {
  const int64_t num_tokens = input.num_tokens();
  BE_CHECK(!input.segment_starts.empty() && input.segment_starts.front() == 0,
           "segments start at 0");
  BE_CHECK(input.tokens_T.dim() == 1 && input.tokens_T.size(0) == num_tokens &&
               input.positions_T.dim() == 1 && input.positions_T.size(0) == num_tokens,
           "tokens and positions for " + std::to_string(num_tokens) + " packed tokens");
  const int64_t* positions = input.positions_T.is_cpu() && input.positions_T.is_contiguous()
                                 ? input.positions_T.const_data_ptr<int64_t>()
                                 : nullptr;
  BE_CHECK(cache == nullptr || cache->num_sequences() == input.num_segments(),
           std::to_string(input.num_segments()) + " segments for the cache's sequences");
  for (int64_t b = 0; b < input.num_segments(); ++b) {
    const int64_t start = input.segment_starts[static_cast<size_t>(b)];
    const int64_t length = input.segment_starts[static_cast<size_t>(b) + 1] - start;
    BE_CHECK(length >= 0, "segment starts fall");
    const int64_t held = cache == nullptr ? 0 : cache->length(b);
    BE_CHECK(held + length <= config.max_positions,
             "segment " + std::to_string(b) + " reaches " + std::to_string(held + length) +
                 " tokens, the model has " + std::to_string(config.max_positions) + " positions");
    BE_CHECK(cache == nullptr || cache->own_length(b) + length <= cache->max_tokens(),
             "sequence " + std::to_string(b) + " outgrows the cache's " +
                 std::to_string(cache->max_tokens()));
    BE_CHECK(cache == nullptr || length == 0 || positions == nullptr || positions[start] == held,
             "sequence " + std::to_string(b) + " goes on at position " + std::to_string(held));
  }
}

void AdvanceCache(const PackedInput& input, KvCache& cache) {
  for (int64_t b = 0; b < input.num_segments(); ++b) {
    cache.Advance(b, input.segment_starts[static_cast<size_t>(b) + 1] -
                         input.segment_starts[static_cast<size_t>(b)]);
  }
}

std::unique_ptr<Model> BuildModel(const ModelConfig& config, ModelStorage& storage) {
  return config.model_type == "gpt2" ? BuildGpt2(config, storage) : BuildLlama(config, storage);
}

}  // namespace breakeven
