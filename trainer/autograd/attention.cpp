// PackedAttention of block_functions.h.
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "comm/base/error.h"
#include "trainer/autograd/block_functions.h"
#include "trainer/autograd/row_kernels.h"

namespace breakeven {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kGrainTokens = 32;

// Neighbouring segments of one length: one batched call of the attention kernel.
struct Group {
  int64_t start = 0;   // first token
  int64_t count = 0;   // segments
  int64_t length = 0;  // tokens of each
};

std::vector<Group> EqualLengthGroups(const std::vector<int64_t>& segment_starts) {
  std::vector<Group> groups;
  for (size_t b = 0; b + 1 < segment_starts.size(); ++b) {
    const int64_t length = segment_starts[b + 1] - segment_starts[b];
    if (length == 0) continue;
    const bool goes_on = !groups.empty() && groups.back().length == length &&
                         groups.back().start + groups.back().count * length == segment_starts[b];
    if (goes_on) {
      ++groups.back().count;
    } else {
      groups.push_back({segment_starts[b], 1, length});
    }
  }
  return groups;
}

// [count, heads, length, D] view of `heads` heads that start at `column` of rows [T, width].
at::Tensor HeadsOf(const at::Tensor& rows, const Group& group, int64_t column, int64_t heads,
                   int64_t head_dim) {
  const int64_t width = rows.size(1);
  return rows.as_strided({group.count, heads, group.length, head_dim},
                         {group.length * width, head_dim, width, 1},
                         rows.storage_offset() + group.start * width + column);
}

struct QueryKeyValue {
  at::Tensor query, key, value;  // [count, H or K, length, D] views
};

QueryKeyValue Split(const at::Tensor& qkv_TA, const Group& group, const AttentionShape& shape) {
  const int64_t dim = shape.head_dim;
  const int64_t keys = shape.num_heads * dim;
  const int64_t values = keys + shape.num_kv_heads * dim;
  return {HeadsOf(qkv_TA, group, 0, shape.num_heads, dim),
          HeadsOf(qkv_TA, group, keys, shape.num_kv_heads, dim),
          HeadsOf(qkv_TA, group, values, shape.num_kv_heads, dim)};
}

bool Rotates(const RotaryAngles& angles) { return angles.cos.defined() && angles.cos.numel() > 0; }

double Scale(const AttentionShape& shape) {
  return 1.0 / std::sqrt(static_cast<double>(shape.head_dim));
}

// Writes one group's gradients, [count, heads, length, D] whose memory is [count, length, heads,
// D], into rows of dqkv, rotating queries and keys back.
void StoreGradients(const QueryKeyValue& gradients, const Group& group, const RotaryAngles& angles,
                    const AttentionShape& shape, at::Tensor& grad_qkv_TA) {
  const auto rows_of = [](const at::Tensor& heads) { return heads.transpose(1, 2).contiguous(); };
  const at::Tensor query = rows_of(gradients.query);
  const at::Tensor key = rows_of(gradients.key);
  const at::Tensor value = rows_of(gradients.value);
  const int64_t query_width = shape.num_heads * shape.head_dim;
  const int64_t key_width = shape.num_kv_heads * shape.head_dim;
  const int64_t width = query_width + 2 * key_width;
  const float* from_query = query.const_data_ptr<float>();
  const float* from_key = key.const_data_ptr<float>();
  const float* from_value = value.const_data_ptr<float>();
  const bool rotates = Rotates(angles);
  const float* cos = rotates ? angles.cos.const_data_ptr<float>() : nullptr;
  const float* sin = rotates ? angles.sin.const_data_ptr<float>() : nullptr;
  const int64_t half = shape.head_dim / 2;
  float* to_rows = grad_qkv_TA.mutable_data_ptr<float>() + group.start * width;
  at::parallel_for(0, group.count * group.length, kGrainTokens, [=](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* to = to_rows + t * width;
      const float* q = from_query + t * query_width;
      const float* k = from_key + t * key_width;
      const float* v = from_value + t * key_width;
      if (rotates) {
        const int64_t angle = (group.start + t) * half;
        RotateHeads(q, to, shape.num_heads, shape.head_dim, cos + angle, sin + angle, -1);
        RotateHeads(k, to + query_width, shape.num_kv_heads, shape.head_dim, cos + angle,
                    sin + angle, -1);
      } else {
        std::copy_n(q, query_width, to);
        std::copy_n(k, key_width, to + query_width);
      }
      std::copy_n(v, key_width, to + query_width + key_width);
    }
  });
}

class PackedAttentionFunction : public torch::autograd::Function<PackedAttentionFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv_TA, const at::Tensor& cos,
                            const at::Tensor& sin, const AttentionShape& shape,
                            const std::vector<int64_t>& segment_starts) {
    at::Tensor qkv = qkv_TA.detach();
    RotateInPlace(qkv, {cos, sin}, shape);
    const at::Tensor out_TC =
        at::empty({qkv.size(0), shape.num_heads * shape.head_dim}, qkv.options());
    variable_list saved = {qkv, out_TC, cos, sin};
    for (const Group& group : EqualLengthGroups(segment_starts)) {
      const QueryKeyValue heads = Split(qkv, group, shape);
      const auto [out, log_sum_exp] = at::_scaled_dot_product_flash_attention_for_cpu(
          heads.query, heads.key, heads.value, /*dropout_p=*/0.0, /*is_causal=*/true,
          /*attn_mask=*/std::nullopt, Scale(shape));
      HeadsOf(out_TC, group, 0, shape.num_heads, shape.head_dim).copy_(out);
      saved.push_back(log_sum_exp);
    }
    ctx->save_for_backward(std::move(saved));
    ctx->saved_data["segment_starts"] = segment_starts;
    ctx->saved_data["shape"] =
        std::vector<int64_t>{shape.num_heads, shape.num_kv_heads, shape.head_dim};
    return out_TC;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &qkv = saved[0], &out_TC = saved[1], &cos = saved[2], &sin = saved[3];
    const std::vector<int64_t> numbers = ctx->saved_data["shape"].toIntVector();
    const AttentionShape shape = {numbers[0], numbers[1], numbers[2]};
    const at::Tensor grad_TC = grad_outputs[0].contiguous();
    at::Tensor grad_qkv = at::empty_like(qkv);
    size_t next = 4;
    for (const Group& group : EqualLengthGroups(ctx->saved_data["segment_starts"].toIntVector())) {
      const QueryKeyValue heads = Split(qkv, group, shape);
      const auto [grad_query, grad_key, grad_value] =
          at::_scaled_dot_product_flash_attention_for_cpu_backward(
              HeadsOf(grad_TC, group, 0, shape.num_heads, shape.head_dim), heads.query, heads.key,
              heads.value, HeadsOf(out_TC, group, 0, shape.num_heads, shape.head_dim),
              saved[next++],
              /*dropout_p=*/0.0, /*is_causal=*/true, /*attn_mask=*/std::nullopt, Scale(shape));
      StoreGradients({grad_query, grad_key, grad_value}, group, {cos, sin}, shape, grad_qkv);
    }
    return {grad_qkv, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// [T, n·D] → [T, n, D] rotated by angles [T, D/2].
at::Tensor RotatedComposite(const at::Tensor& heads_TX, const RotaryAngles& angles, int64_t heads,
                            int64_t head_dim) {
  const at::Tensor x = heads_TX.reshape({heads_TX.size(0), heads, head_dim});
  if (!Rotates(angles)) return x;
  const at::Tensor cos = angles.cos.unsqueeze(1);
  const at::Tensor sin = angles.sin.unsqueeze(1);
  const std::vector<at::Tensor> halves = x.chunk(2, 2);
  return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, 2);
}

}  // namespace

void RotateInPlace(at::Tensor& qkv_TA, const RotaryAngles& angles, const AttentionShape& shape) {
  if (!Rotates(angles)) return;
  if (!qkv_TA.is_cpu() || qkv_TA.scalar_type() != at::kFloat) {
    const int64_t heads = shape.num_heads + shape.num_kv_heads;
    at::Tensor rotated_part = qkv_TA.narrow(1, 0, heads * shape.head_dim);
    rotated_part.copy_(RotatedComposite(rotated_part, angles, heads, shape.head_dim).flatten(1));
    return;
  }
  BE_CHECK(qkv_TA.is_contiguous(), "queries, keys and values side by side");
  const int64_t width = qkv_TA.size(1);
  float* rows = qkv_TA.mutable_data_ptr<float>();
  const float* cos = angles.cos.const_data_ptr<float>();
  const float* sin = angles.sin.const_data_ptr<float>();
  const int64_t heads = shape.num_heads + shape.num_kv_heads;
  const int64_t half = shape.head_dim / 2;
  at::parallel_for(0, qkv_TA.size(0), kGrainTokens, [=](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* row = rows + t * width;
      RotateHeads(row, row, heads, shape.head_dim, cos + t * half, sin + t * half, 1);
    }
  });
}

at::Tensor PackedAttention(const at::Tensor& qkv_TA, const RotaryAngles& angles,
                           const AttentionShape& shape,
                           const std::vector<int64_t>& segment_starts) {
  if (!qkv_TA.is_cpu() || qkv_TA.scalar_type() != at::kFloat) {
    return PackedAttentionComposite(qkv_TA, angles, shape, segment_starts);
  }
  // No angles travel as empty tensors: autograd wants defined inputs.
  const bool rotates = angles.cos.defined();
  const at::Tensor none = rotates ? at::Tensor() : at::empty({0}, qkv_TA.options());
  return PackedAttentionFunction::apply(qkv_TA, rotates ? angles.cos : none,
                                        rotates ? angles.sin : none, shape, segment_starts);
}

at::Tensor PackedAttentionComposite(const at::Tensor& qkv_TA, const RotaryAngles& angles,
                                    const AttentionShape& shape,
                                    const std::vector<int64_t>& segment_starts) {
  const int64_t dim = shape.head_dim;
  const int64_t query_width = shape.num_heads * dim;
  const int64_t key_width = shape.num_kv_heads * dim;
  const at::Tensor query =
      RotatedComposite(qkv_TA.narrow(1, 0, query_width), angles, shape.num_heads, dim);
  const at::Tensor key =
      RotatedComposite(qkv_TA.narrow(1, query_width, key_width), angles, shape.num_kv_heads, dim);
  const at::Tensor value = qkv_TA.narrow(1, query_width + key_width, key_width)
                               .reshape({qkv_TA.size(0), shape.num_kv_heads, dim});
  const int64_t repeats = shape.num_heads / shape.num_kv_heads;
  std::vector<at::Tensor> parts;
  for (const Group& group : EqualLengthGroups(segment_starts)) {
    // Keys and values are repeated: in float32 on CUDA enable_gqa would fall to the slowest kernel.
    const auto batched = [&](const at::Tensor& x, int64_t copies) {
      return x.narrow(0, group.start, group.count * group.length)
          .reshape({group.count, group.length, x.size(1), dim})
          .transpose(1, 2)
          .repeat_interleave(copies, 1);
    };
    const at::Tensor out =
        at::scaled_dot_product_attention(batched(query, 1), batched(key, repeats),
                                         batched(value, repeats), /*attn_mask=*/std::nullopt,
                                         /*dropout_p=*/0.0, /*is_causal=*/true, Scale(shape));
    parts.push_back(out.transpose(1, 2).reshape({group.count * group.length, query_width}));
  }
  return parts.empty() ? at::zeros({0, query_width}, qkv_TA.options()) : at::cat(parts);
}

}  // namespace breakeven
