// Attention of aten_paths.h.
#include <ATen/Context.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "trainer/autograd/aten_paths.h"
#include "trainer/autograd/element_type.h"
#include "trainer/tensor_bridge.h"

namespace breakeven::aten_paths {
namespace {

double Scale(const AttentionShape& shape) {
  return 1.0 / std::sqrt(static_cast<double>(shape.head_dim));
}

struct Heads {
  at::Tensor query_THD;
  at::Tensor key_TKD;
  at::Tensor value_TKD;
};

// Views of the columns, queries and keys rotated.
Heads SplitHeads(const at::Tensor& qkv_TA, const RotaryAngles& angles,
                 const AttentionShape& shape) {
  const int64_t dim = shape.head_dim;
  const auto part = [&](int64_t first, int64_t heads) {
    return qkv_TA.narrow(1, first * dim, heads * dim).unflatten(1, {heads, dim});
  };
  return {Rotated(part(0, shape.num_heads), angles),
          Rotated(part(shape.num_heads, shape.num_kv_heads), angles),
          part(shape.num_heads + shape.num_kv_heads, shape.num_kv_heads)};
}

// The way back: gradients of the rotated heads to the columns of grad_qkv_TA.
void JoinHeads(const Heads& gradients, const RotaryAngles& angles, const AttentionShape& shape,
               const at::Tensor& grad_qkv_TA) {
  const int64_t dim = shape.head_dim;
  const auto put = [&](int64_t first, const at::Tensor& heads) {
    grad_qkv_TA.narrow(1, first * dim, heads.size(1) * dim)
        .unflatten(1, {heads.size(1), dim})
        .copy_(heads);
  };
  put(0, Rotated(gradients.query_THD, angles, -1));
  put(shape.num_heads, Rotated(gradients.key_TKD, angles, -1));
  put(shape.num_heads + shape.num_kv_heads, gradients.value_TKD);
}

int64_t LongestOf(const std::vector<int64_t>& starts) {
  int64_t longest = 0;
  for (size_t b = 0; b + 1 < starts.size(); ++b) {
    longest = std::max(longest, starts[b + 1] - starts[b]);
  }
  return longest;
}

// The flash kernel: 16-bit types, sm80 and later, D a multiple of 8 and at most 256. Where no segment has
// more than one token it would lay heads out as tokens and take no empty segment.
bool TakesFlash(const at::Tensor& qkv_TA, const AttentionShape& shape,
                const std::vector<int64_t>& starts) {
  return qkv_TA.is_cuda() && qkv_TA.scalar_type() == at::kBFloat16 && shape.head_dim % 8 == 0 &&
         shape.head_dim <= 256 && ComputeCapability(qkv_TA.device()) >= 8 && LongestOf(starts) > 1;
}

at::Tensor StartsOnDevice(const std::vector<int64_t>& starts, const at::Tensor& starts_B,
                          const at::Device& device) {
  return starts_B.defined() ? starts_B
                            : at::tensor(starts, at::TensorOptions(at::kLong)).to(device, at::kInt);
}

// Neighbouring segments of one length; as many as keep the scores within kMaxScores.
struct Group {
  int64_t first_token = 0;
  int64_t segments = 0;
  int64_t length = 0;
};

constexpr int64_t kMaxScores = int64_t{1} << 26;  // elements: 256 MiB of float32

std::vector<Group> GroupsOf(const std::vector<int64_t>& starts, int64_t num_heads) {
  std::vector<Group> groups;
  for (size_t b = 0; b + 1 < starts.size(); ++b) {
    const int64_t length = starts[b + 1] - starts[b];
    if (length == 0) continue;
    const int64_t most = std::max<int64_t>(1, kMaxScores / (num_heads * length * length));
    if (!groups.empty() && groups.back().length == length && groups.back().segments < most) {
      ++groups.back().segments;
    } else {
      groups.push_back({starts[b], 1, length});
    }
  }
  return groups;
}

// One group's tensors with a key/value head's query heads side by side: N = segments · K products
// of [G·L, D] and [L, D], so that no key is copied for its query heads.
class GroupView {
 public:
  GroupView(const Group& group, const AttentionShape& shape) : group_(group), shape_(shape) {}

  // [T, K·G, D] → [N, G·L, D]
  at::Tensor Take(const at::Tensor& heads_TnD) const {
    return Rows(heads_TnD)
        .unflatten(1, {shape_.num_kv_heads, heads_TnD.size(1) / shape_.num_kv_heads})
        .unflatten(0, {group_.segments, group_.length})
        .permute({0, 2, 3, 1, 4})
        .reshape({Products(), -1, heads_TnD.size(2)})
        .to(SumTypeOf(heads_TnD));
  }
  // The way back.
  void Put(const at::Tensor& found_NRD, const at::Tensor& heads_TnD) const {
    const int64_t per_key = heads_TnD.size(1) / shape_.num_kv_heads;
    Rows(heads_TnD).copy_(
        found_NRD
            .view({group_.segments, shape_.num_kv_heads, per_key, group_.length, found_NRD.size(2)})
            .permute({0, 3, 1, 2, 4})
            .reshape({Tokens(), heads_TnD.size(1), found_NRD.size(2)}));
  }
  // scale · query · keyᵀ, -inf where the key comes later, [N, G·L, L].
  at::Tensor Scores(const at::Tensor& query_NRD, const at::Tensor& key_NLD) const {
    const int64_t length = group_.length;
    at::Tensor scores = at::bmm(query_NRD, key_NLD.transpose(1, 2)).mul_(Scale(shape_));
    const at::Tensor later = at::ones({length, length}, scores.options().dtype(at::kBool)).triu_(1);
    scores.view({Products(), -1, length, length})
        .masked_fill_(later, -std::numeric_limits<double>::infinity());
    return scores;
  }

 private:
  int64_t Products() const { return group_.segments * shape_.num_kv_heads; }
  int64_t Tokens() const { return group_.segments * group_.length; }
  at::Tensor Rows(const at::Tensor& all) const {
    return all.narrow(0, group_.first_token, Tokens());
  }

  const Group& group_;
  const AttentionShape& shape_;
};

AttentionState ProductsForward(const Heads& heads, const AttentionShape& shape,
                               const std::vector<int64_t>& starts) {
  const at::Tensor& query = heads.query_THD;
  const at::Tensor out_THD = at::empty(query.sizes(), query.options());
  const at::Tensor log_sum_exp_TH =
      at::empty({query.size(0), shape.num_heads}, query.options().dtype(SumTypeOf(query)));
  for (const Group& group : GroupsOf(starts, shape.num_heads)) {
    const GroupView view(group, shape);
    at::Tensor scores = view.Scores(view.Take(query), view.Take(heads.key_TKD));
    const at::Tensor log_sum_exp = scores.logsumexp({2}, /*keepdim=*/true);
    scores.sub_(log_sum_exp).exp_();
    view.Put(at::bmm(scores, view.Take(heads.value_TKD)), out_THD);
    view.Put(log_sum_exp, log_sum_exp_TH.unsqueeze(2));
  }
  return {out_THD.flatten(1), log_sum_exp_TH, {}};
}

Heads ProductsBackward(const Heads& heads, const AttentionShape& shape,
                       const std::vector<int64_t>& starts, const AttentionState& state,
                       const at::Tensor& grad_out_THD) {
  const Heads gradients = {at::empty(heads.query_THD.sizes(), heads.query_THD.options()),
                           at::empty(heads.key_TKD.sizes(), heads.key_TKD.options()),
                           at::empty(heads.value_TKD.sizes(), heads.value_TKD.options())};
  const at::Tensor out_THD = state.out_TX.unflatten(1, {shape.num_heads, shape.head_dim});
  for (const Group& group : GroupsOf(starts, shape.num_heads)) {
    const GroupView view(group, shape);
    const at::Tensor query = view.Take(heads.query_THD), key = view.Take(heads.key_TKD);
    const at::Tensor grad_out = view.Take(grad_out_THD);
    at::Tensor weights = view.Scores(query, key);
    weights.sub_(view.Take(state.log_sum_exp.unsqueeze(2))).exp_();
    view.Put(at::bmm(weights.transpose(1, 2), grad_out), gradients.value_TKD);
    at::Tensor grad_scores = at::bmm(grad_out, view.Take(heads.value_TKD).transpose(1, 2));
    grad_scores.sub_((grad_out * view.Take(out_THD)).sum(2, /*keepdim=*/true));
    grad_scores.mul_(weights).mul_(Scale(shape));
    view.Put(at::bmm(grad_scores, key), gradients.query_THD);
    view.Put(at::bmm(grad_scores.transpose(1, 2), query), gradients.key_TKD);
  }
  return gradients;
}

}  // namespace

at::Tensor Rotated(const at::Tensor& heads_TnD, const RotaryAngles& angles, double direction) {
  if (!angles.cos.defined() || angles.cos.numel() == 0) return heads_TnD;
  const at::Tensor cos = angles.cos.unsqueeze(1);
  const at::Tensor sin = direction < 0 ? angles.sin.unsqueeze(1).neg() : angles.sin.unsqueeze(1);
  const int64_t half = heads_TnD.size(2) / 2;
  const at::Tensor low = heads_TnD.narrow(2, 0, half), high = heads_TnD.narrow(2, half, half);
  return at::cat({low * cos - high * sin, high * cos + low * sin}, 2).to(heads_TnD.scalar_type());
}

AttentionState AttentionForward(const at::Tensor& qkv_TA, const RotaryAngles& angles,
                                const AttentionShape& shape, const std::vector<int64_t>& starts,
                                const at::Tensor& starts_B) {
  const Heads heads = SplitHeads(qkv_TA, angles, shape);
  if (!TakesFlash(qkv_TA, shape, starts)) {
    return ProductsForward(heads, shape, starts);
  }
  const int64_t longest = LongestOf(starts);
  const at::Tensor on_device = StartsOnDevice(starts, starts_B, qkv_TA.device());
  const auto [out_THD, log_sum_exp_HT, random, unused, mask] = at::_flash_attention_forward(
      heads.query_THD, heads.key_TKD, heads.value_TKD, on_device, on_device, longest, longest,
      /*dropout_p=*/0.0, /*is_causal=*/true, /*return_debug_mask=*/false,
      std::optional<double>(Scale(shape)));
  return {out_THD.flatten(1), log_sum_exp_HT, random};
}

at::Tensor AttentionBackward(const at::Tensor& qkv_TA, const RotaryAngles& angles,
                             const AttentionShape& shape, const std::vector<int64_t>& starts,
                             const at::Tensor& starts_B, const AttentionState& state,
                             const at::Tensor& grad_out_TX) {
  const Heads heads = SplitHeads(qkv_TA, angles, shape);
  const auto by_head = [&](const at::Tensor& x_TX) {
    return x_TX.unflatten(1, {shape.num_heads, shape.head_dim});
  };
  const at::Tensor grad_qkv_TA = at::empty_like(qkv_TA);
  if (!TakesFlash(qkv_TA, shape, starts)) {
    JoinHeads(ProductsBackward(heads, shape, starts, state, by_head(grad_out_TX)), angles, shape,
              grad_qkv_TA);
    return grad_qkv_TA;
  }
  const int64_t longest = LongestOf(starts);
  const at::Tensor on_device = StartsOnDevice(starts, starts_B, qkv_TA.device());
  const at::Tensor unused = at::empty({0}, qkv_TA.options());
  const auto [grad_query, grad_key, grad_value] = at::_flash_attention_backward(
      by_head(grad_out_TX), heads.query_THD, heads.key_TKD, heads.value_TKD, by_head(state.out_TX),
      state.log_sum_exp, on_device, on_device, longest, longest, /*dropout_p=*/0.0,
      /*is_causal=*/true, state.random, unused, std::optional<double>(Scale(shape)));
  JoinHeads({grad_query, grad_key, grad_value}, angles, shape, grad_qkv_TA);
  return grad_qkv_TA;
}

}  // namespace breakeven::aten_paths
