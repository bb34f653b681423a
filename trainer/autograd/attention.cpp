// PackedAttention of block_functions.h.
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "comm/base/error.h"
#include "trainer/autograd/attention_kernel.h"
#include "trainer/autograd/block_functions.h"
#include "trainer/autograd/element_type.h"
#include "trainer/autograd/row_kernels.h"

namespace breakeven {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

bool Rotates(const RotaryAngles& angles) { return angles.cos.defined() && angles.cos.numel() > 0; }

double Scale(const AttentionShape& shape) {
  return 1.0 / std::sqrt(static_cast<double>(shape.head_dim));
}

// All tensors of one call; those of backward are undefined in the forward pass.
struct AttentionTensors {
  at::Tensor qkv_TA, cos, sin, out_TX, log_sum_exp_TH, grad_out_TX, grad_qkv_TA;
};

template <typename T>
AttentionSegment<T> SegmentAt(const AttentionTensors& tensors, const AttentionShape& shape,
                              int64_t start, int64_t length) {
  const int64_t width = (shape.num_heads + 2 * shape.num_kv_heads) * shape.head_dim;
  const int64_t out_width = shape.num_heads * shape.head_dim;
  const int64_t half = shape.head_dim / 2;
  const auto at_row = [start](auto* data, int64_t row) {
    return data == nullptr ? nullptr : data + start * row;
  };
  const bool rotates = Rotates({tensors.cos, tensors.sin});
  return {.length = length,
          .num_heads = shape.num_heads,
          .num_kv_heads = shape.num_kv_heads,
          .head_dim = shape.head_dim,
          .scale = static_cast<float>(Scale(shape)),
          .cos = rotates ? at_row(ConstData<float>(tensors.cos), half) : nullptr,
          .sin = rotates ? at_row(ConstData<float>(tensors.sin), half) : nullptr,
          .qkv = at_row(ConstData<T>(tensors.qkv_TA), width),
          .out = at_row(MutableData<T>(tensors.out_TX), out_width),
          .log_sum_exp = at_row(MutableData<float>(tensors.log_sum_exp_TH), shape.num_heads),
          .grad_out = at_row(ConstData<T>(tensors.grad_out_TX), out_width),
          .grad_qkv = at_row(MutableData<T>(tensors.grad_qkv_TA), width)};
}

// body(segment, key/value head, scratch) for every segment and key/value head, shared out over
// threads.
template <typename T, typename Body>
void ForEachHead(const AttentionTensors& tensors, const AttentionShape& shape,
                 const std::vector<int64_t>& segment_starts, const Body& body) {
  const int64_t num_segments = static_cast<int64_t>(segment_starts.size()) - 1;
  const auto start_of = [&](int64_t b) { return segment_starts[static_cast<size_t>(b)]; };
  int64_t longest = 0;
  for (int64_t b = 0; b < num_segments; ++b) {
    longest = std::max(longest, start_of(b + 1) - start_of(b));
  }
  if (longest == 0) return;
  const int64_t scratch_size = AttentionScratch(longest, shape.head_dim);
  const at::Tensor scratch = at::empty({at::get_num_threads(), scratch_size}, at::kFloat);
  float* memory = scratch.mutable_data_ptr<float>();
  at::parallel_for(0, num_segments * shape.num_kv_heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t b = i / shape.num_kv_heads;
      const int64_t length = start_of(b + 1) - start_of(b);
      if (length == 0) continue;
      body(SegmentAt<T>(tensors, shape, start_of(b), length), i % shape.num_kv_heads,
           memory + at::get_thread_num() * scratch_size);
    }
  });
}

void ForwardAllHeads(AttentionTensors& tensors, const AttentionShape& shape,
                     const std::vector<int64_t>& segment_starts) {
  const int64_t num_tokens = tensors.qkv_TA.size(0);
  const int64_t width = shape.num_heads * shape.head_dim;
  tensors.out_TX = at::empty({num_tokens, width}, tensors.qkv_TA.options());
  tensors.log_sum_exp_TH = at::empty({num_tokens, shape.num_heads}, at::kFloat);
  WithElementType(tensors.qkv_TA.scalar_type(), [&]<typename T>(T) {
    ForEachHead<T>(tensors, shape, segment_starts,
                   [](const AttentionSegment<T>& segment, int64_t head, float* scratch) {
                     AttendForward(segment, head, scratch);
                   });
  });
}

class PackedAttentionFunction : public torch::autograd::Function<PackedAttentionFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv_TA, const at::Tensor& cos,
                            const at::Tensor& sin, const AttentionShape& shape,
                            const std::vector<int64_t>& segment_starts) {
    AttentionTensors tensors;
    tensors.qkv_TA = qkv_TA.contiguous();
    tensors.cos = cos;
    tensors.sin = sin;
    ForwardAllHeads(tensors, shape, segment_starts);
    ctx->save_for_backward({tensors.qkv_TA, cos, sin, tensors.out_TX, tensors.log_sum_exp_TH});
    ctx->saved_data["segment_starts"] = segment_starts;
    ctx->saved_data["shape"] =
        std::vector<int64_t>{shape.num_heads, shape.num_kv_heads, shape.head_dim};
    return tensors.out_TX;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    const variable_list saved = ctx->get_saved_variables();
    const std::vector<int64_t> numbers = ctx->saved_data["shape"].toIntVector();
    const AttentionShape shape = {numbers[0], numbers[1], numbers[2]};
    const AttentionTensors tensors = {.qkv_TA = saved[0],
                                      .cos = saved[1],
                                      .sin = saved[2],
                                      .out_TX = saved[3],
                                      .log_sum_exp_TH = saved[4],
                                      .grad_out_TX = grad_outputs[0].contiguous(),
                                      .grad_qkv_TA = at::empty_like(saved[0])};
    WithElementType(saved[0].scalar_type(), [&]<typename T>(T) {
      ForEachHead<T>(tensors, shape, ctx->saved_data["segment_starts"].toIntVector(),
                     [](const AttentionSegment<T>& segment, int64_t head, float* scratch) {
                       AttendBackward(segment, head, scratch);
                     });
    });
    return {tensors.grad_qkv_TA, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
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
  return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, 2)
      .to(x.scalar_type());
}

}  // namespace

AttentionPart PackedAttentionPart(const at::Tensor& qkv_TA, const AttentionShape& shape,
                                  const std::vector<int64_t>& segment_starts) {
  BE_CHECK(qkv_TA.is_cpu(), "attention in parts is built for CPUs");
  AttentionTensors tensors;
  tensors.qkv_TA = qkv_TA.contiguous();
  ForwardAllHeads(tensors, shape, segment_starts);
  return {tensors.out_TX, tensors.log_sum_exp_TH};
}

void RotateInPlace(at::Tensor& qkv_TA, const RotaryAngles& angles, const AttentionShape& shape) {
  if (!Rotates(angles)) return;
  const int64_t heads = shape.num_heads + shape.num_kv_heads;
  if (!qkv_TA.is_cpu() || qkv_TA.scalar_type() != at::kFloat) {
    at::Tensor rotated_part = qkv_TA.narrow(1, 0, heads * shape.head_dim);
    rotated_part.copy_(RotatedComposite(rotated_part, angles, heads, shape.head_dim).flatten(1));
    return;
  }
  BE_CHECK(qkv_TA.is_contiguous(), "queries, keys and values side by side");
  constexpr int64_t kGrainTokens = 32;
  const int64_t width = qkv_TA.size(1);
  const int64_t half = shape.head_dim / 2;
  float* rows = qkv_TA.mutable_data_ptr<float>();
  const float* cos = angles.cos.const_data_ptr<float>();
  const float* sin = angles.sin.const_data_ptr<float>();
  at::parallel_for(0, qkv_TA.size(0), kGrainTokens, [=](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      RotateHeads(rows + t * width, heads, shape.head_dim, cos + t * half, sin + t * half);
    }
  });
}

at::Tensor PackedAttention(const at::Tensor& qkv_TA, const RotaryAngles& angles,
                           const AttentionShape& shape,
                           const std::vector<int64_t>& segment_starts) {
  if (!HasFusedKernel(qkv_TA)) {
    return PackedAttentionComposite(qkv_TA, angles, shape, segment_starts);
  }
  // No angles travel as empty tensors: autograd wants defined inputs.
  const bool rotates = angles.cos.defined();
  const at::Tensor none = rotates ? at::Tensor() : at::empty({0}, at::kFloat);
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
  for (size_t b = 0; b + 1 < segment_starts.size(); ++b) {
    const int64_t length = segment_starts[b + 1] - segment_starts[b];
    if (length == 0) continue;
    // Keys and values are repeated: in float32 on CUDA enable_gqa would fall to the slowest kernel.
    const auto batched = [&](const at::Tensor& x, int64_t copies) {
      return x.narrow(0, segment_starts[b], length)
          .unsqueeze(0)
          .transpose(1, 2)
          .repeat_interleave(copies, 1);
    };
    const at::Tensor out =
        at::scaled_dot_product_attention(batched(query, 1), batched(key, repeats),
                                         batched(value, repeats), /*attn_mask=*/std::nullopt,
                                         /*dropout_p=*/0.0, /*is_causal=*/true, Scale(shape));
    parts.push_back(out.transpose(1, 2).reshape({length, query_width}));
  }
  return parts.empty() ? at::zeros({0, query_width}, qkv_TA.options()) : at::cat(parts);
}

}  // namespace breakeven
