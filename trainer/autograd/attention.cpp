// PackedAttention of block_functions.h.
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "comm/base/error.h"
#include "trainer/autograd/aten_paths.h"
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
                            const std::vector<int64_t>& segment_starts,
                            const std::optional<at::Tensor>& starts_B) {
    ctx->saved_data["segment_starts"] = segment_starts;
    ctx->saved_data["shape"] =
        std::vector<int64_t>{shape.num_heads, shape.num_kv_heads, shape.head_dim};
    if (!HasFusedKernel(qkv_TA)) {
      const at::Tensor starts = starts_B.value_or(at::Tensor());
      const aten_paths::AttentionState state =
          aten_paths::AttentionForward(qkv_TA, {cos, sin}, shape, segment_starts, starts);
      ctx->save_for_backward(
          {qkv_TA, cos, sin, state.out_TX, state.log_sum_exp, state.random, starts});
      return state.out_TX;
    }
    AttentionTensors tensors;
    tensors.qkv_TA = qkv_TA.contiguous();
    tensors.cos = cos;
    tensors.sin = sin;
    ForwardAllHeads(tensors, shape, segment_starts);
    ctx->save_for_backward({tensors.qkv_TA, cos, sin, tensors.out_TX, tensors.log_sum_exp_TH});
    return tensors.out_TX;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    const variable_list saved = ctx->get_saved_variables();
    const std::vector<int64_t> numbers = ctx->saved_data["shape"].toIntVector();
    const AttentionShape shape = {numbers[0], numbers[1], numbers[2]};
    const std::vector<int64_t> segment_starts = ctx->saved_data["segment_starts"].toIntVector();
    if (!HasFusedKernel(saved[0])) {
      const at::Tensor grad_qkv_TA = aten_paths::AttentionBackward(
          saved[0], {saved[1], saved[2]}, shape, segment_starts, saved[6],
          {saved[3], saved[4], saved[5]}, grad_outputs[0].contiguous());
      return {grad_qkv_TA, {}, {}, {}, {}, {}};
    }
    const AttentionTensors tensors = {.qkv_TA = saved[0],
                                      .cos = saved[1],
                                      .sin = saved[2],
                                      .out_TX = saved[3],
                                      .log_sum_exp_TH = saved[4],
                                      .grad_out_TX = grad_outputs[0].contiguous(),
                                      .grad_qkv_TA = at::empty_like(saved[0])};
    WithElementType(saved[0].scalar_type(), [&]<typename T>(T) {
      ForEachHead<T>(tensors, shape, segment_starts,
                     [](const AttentionSegment<T>& segment, int64_t head, float* scratch) {
                       AttendBackward(segment, head, scratch);
                     });
    });
    return {tensors.grad_qkv_TA, {}, {}, {}, {}, {}};
  }
};

}  // namespace

AttentionPart PackedAttentionPart(const at::Tensor& qkv_TA, const AttentionShape& shape,
                                  const std::vector<int64_t>& segment_starts) {
  BE_CHECK(HasFusedKernel(qkv_TA), "a kernel for this device");
  AttentionTensors tensors;
  tensors.qkv_TA = qkv_TA.contiguous();
  ForwardAllHeads(tensors, shape, segment_starts);
  return {tensors.out_TX, tensors.log_sum_exp_TH};
}

void RotateInPlace(at::Tensor& qkv_TA, const RotaryAngles& angles, const AttentionShape& shape) {
  if (!Rotates(angles)) return;
  const int64_t heads = shape.num_heads + shape.num_kv_heads;
  if (!HasFusedKernel(qkv_TA)) {
    const at::Tensor part =
        qkv_TA.narrow(1, 0, heads * shape.head_dim).unflatten(1, {heads, shape.head_dim});
    part.copy_(aten_paths::Rotated(part, angles));
    return;
  }
  BE_CHECK(qkv_TA.is_contiguous(), "queries, keys and values side by side");
  constexpr int64_t kGrainTokens = 32;
  const int64_t width = qkv_TA.size(1);
  const int64_t half = shape.head_dim / 2;
  const float* cos = angles.cos.const_data_ptr<float>();
  const float* sin = angles.sin.const_data_ptr<float>();
  WithElementType(qkv_TA.scalar_type(), [&]<typename T>(T) {
    T* rows = MutableData<T>(qkv_TA);
    at::parallel_for(0, qkv_TA.size(0), kGrainTokens, [=](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        RotateHeads(rows + t * width, heads, shape.head_dim, cos + t * half, sin + t * half);
      }
    });
  });
}

at::Tensor PackedAttention(const at::Tensor& qkv_TA, const RotaryAngles& angles,
                           const AttentionShape& shape, const std::vector<int64_t>& segment_starts,
                           const at::Tensor& starts_B) {
  // No angles travel as empty tensors: autograd wants defined inputs.
  const bool rotates = angles.cos.defined();
  const at::Tensor none = rotates ? at::Tensor() : at::empty({0}, qkv_TA.options());
  return PackedAttentionFunction::apply(
      qkv_TA, rotates ? angles.cos : none, rotates ? angles.sin : none, shape, segment_starts,
      starts_B.defined() ? std::optional<at::Tensor>(starts_B) : std::nullopt);
}

}  // namespace breakeven
