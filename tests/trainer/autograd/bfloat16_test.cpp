// The same functions on bfloat16, beside their formulas in float64 on the same rounded inputs: apart by
// the rounding of what goes in and out, 2⁻⁹ at most a value.
#include "trainer/autograd/bfloat16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/trainer/autograd/gradient_check.h"
#include "trainer/autograd/block_functions.h"
#include "trainer/autograd/fused_head_loss.h"
#include "trainer/autograd/linear.h"
#include "trainer/autograd/matrix_product.h"

namespace breakeven {
namespace {

constexpr double kTolerance = 4e-3;

at::Tensor BFloat16Leaf(at::IntArrayRef sizes, double scale = 1) {
  return (at::randn(sizes) * scale).to(at::kBFloat16).set_requires_grad(true);
}

TEST(BFloat16Test, RoundsToNearestEvenAndKeepsWhatIsNoNumber) {
  const float infinity = std::numeric_limits<float>::infinity();
  const at::Tensor values =
      at::tensor({0.0f, -0.0f, 1.0f, 1.00390625f, 1.01171875f, 3.14159265f, -2e-39f, 3.4e38f,
                  infinity, -infinity, 65504.0f, 1e-20f, 7.0f});
  const at::Tensor expected = values.to(at::kBFloat16);
  const at::Tensor found = at::empty_like(expected);
  ConvertToBFloat16(values.const_data_ptr<float>(),
                    static_cast<BFloat16*>(found.mutable_data_ptr()), values.numel());
  EXPECT_TRUE(at::equal(found, expected)) << found << expected;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  BFloat16 converted;
  ConvertToBFloat16(&nan, &converted, 1);
  EXPECT_EQ(converted.bits & 0x7fc0, 0x7fc0);
}

TEST(BFloat16Test, ResidualNorm) {
  at::manual_seed(3);
  for (const NormKind kind : {NormKind::kRms, NormKind::kLayer}) {
    const int64_t width = 37;
    const at::Tensor residual = RandomLeaf({40, width}, 2), update = BFloat16Leaf({40, width});
    const NormWeights norm{kind, RandomLeaf({width}, 0.3, 1), {}, 1e-3, at::kBFloat16};
    const at::Tensor up_sum = at::randn({40, width});
    const at::Tensor up_normed = at::randn({40, width}).to(at::kBFloat16);
    const at::Tensor residual64 = DoubleLeaf(residual), update64 = DoubleLeaf(update),
                     weight64 = DoubleLeaf(norm.weight_C);
    const at::Tensor sum64 = residual64 + update64;
    const at::Tensor centered = kind == NormKind::kLayer ? sum64 - sum64.mean(-1, true) : sum64;
    const at::Tensor normed64 =
        centered / (centered.pow(2).mean(-1, true) + 1e-3).sqrt() * weight64;
    const ResidualNormResult result = ResidualNorm(residual, update, norm);
    EXPECT_EQ(result.residual_TC.scalar_type(), at::kFloat);
    EXPECT_EQ(result.normed_TC.scalar_type(), at::kBFloat16);
    EXPECT_LE(RelativeError(result.residual_TC, sum64), 1e-6);
    EXPECT_LE(RelativeError(result.normed_TC, normed64), kTolerance);
    ((result.residual_TC * up_sum).sum() + (result.normed_TC * up_normed).sum()).backward();
    ((sum64 * up_sum).sum() + (normed64 * up_normed).sum()).backward();
    EXPECT_LE(RelativeError(residual.grad(), residual64.grad()), 1e-6) << "the stream is float32";
    EXPECT_EQ(update.grad().scalar_type(), at::kBFloat16);
    EXPECT_LE(RelativeError(update.grad(), update64.grad()), kTolerance);
    EXPECT_LE(RelativeError(norm.weight_C.grad(), weight64.grad()), 1e-6);
  }
}

// GPT-2's first norm adds two float32 embeddings and gives bfloat16.
TEST(BFloat16Test, ResidualNormTakesAFloat32Update) {
  at::manual_seed(3);
  const at::Tensor residual = RandomLeaf({9, 20}), update = RandomLeaf({9, 20});
  const NormWeights norm{NormKind::kRms, RandomLeaf({20}, 0.3, 1), {}, 1e-5, at::kBFloat16};
  const ResidualNormResult result = ResidualNorm(residual, update, norm);
  EXPECT_EQ(result.normed_TC.scalar_type(), at::kBFloat16);
  EXPECT_LE(RelativeError(result.residual_TC, residual + update), 1e-6);
  result.residual_TC.sum().backward();
  EXPECT_TRUE(at::equal(update.grad(), at::ones({9, 20})));
}

TEST(BFloat16Test, SwiGlu) {
  at::manual_seed(4);
  const int64_t width = 43;
  const at::Tensor gate_up = BFloat16Leaf({33, 2 * width}, 2), up = at::randn({33, width});
  const at::Tensor gate_up64 = DoubleLeaf(gate_up);
  const at::Tensor gate64 = gate_up64.narrow(1, 0, width);
  const at::Tensor out64 = gate64 / (1 + (-gate64).exp()) * gate_up64.narrow(1, width, width);
  const at::Tensor out = SwiGlu(gate_up);
  EXPECT_EQ(out.scalar_type(), at::kBFloat16);
  EXPECT_LE(RelativeError(out, out64), kTolerance);
  (out * up.to(at::kBFloat16)).sum().backward();
  (out64 * up.to(at::kBFloat16)).sum().backward();
  EXPECT_LE(RelativeError(gate_up.grad(), gate_up64.grad()), kTolerance);
}

// float64 goes by plain ATen operations, which aten_paths_test.cpp holds against the formula.
TEST(BFloat16Test, PackedAttention) {
  at::manual_seed(6);
  const AttentionShape shape{6, 2, 32};
  const std::vector<int64_t> starts = {0, 1, 18, 18, 120};
  const at::Tensor turn = at::randn({120, 16});
  const at::Tensor qkv = BFloat16Leaf({120, 10 * 32});
  const at::Tensor qkv64 = DoubleLeaf(qkv);
  const at::Tensor up = at::randn({120, 6 * 32}).to(at::kBFloat16);
  const at::Tensor out = PackedAttention(qkv, {turn.cos(), turn.sin()}, shape, starts);
  const at::Tensor out64 = PackedAttention(
      qkv64, {turn.cos().to(at::kDouble), turn.sin().to(at::kDouble)}, shape, starts);
  EXPECT_LE(RelativeError(out, out64), kTolerance);
  (out * up).sum().backward();
  (out64 * up).sum().backward();
  EXPECT_LE(RelativeError(qkv.grad(), qkv64.grad()), kTolerance);
}

TEST(BFloat16Test, ProductsOfWeightGradientsAddInFloat32) {
  at::manual_seed(7);
  for (const auto& [t, m, n] :
       std::vector<std::array<int64_t, 3>>{{50, 33, 17}, {1, 4, 4}, {0, 3, 5}}) {
    const at::Tensor left = at::randn({t, m}).to(at::kBFloat16),
                     right = at::randn({t, n}).to(at::kBFloat16);
    const at::Tensor sink = at::randn({m, n});
    const at::Tensor expected =
        sink.to(at::kDouble) + at::mm(left.t().to(at::kDouble), right.to(at::kDouble));
    MultiplyInto(sink, left.t(), right, /*adds=*/true);
    EXPECT_LE(RelativeError(sink, expected), kTolerance) << t;
  }
}

TEST(BFloat16Test, LinearReadsTheCopiesAndGivesFloat32Gradients) {
  at::manual_seed(8);
  for (const bool input_major : {false, true}) {
    const at::Tensor weight =
        RandomLeaf(input_major ? at::IntArrayRef{12, 20} : at::IntArrayRef{20, 12});
    const at::Tensor bias = RandomLeaf({20}), x = BFloat16Leaf({30, 12});
    const LinearWeights linear{.weights = {weight},
                               .biases = {bias},
                               .weight_copies = {weight.detach().to(at::kBFloat16)},
                               .bias_copies = {bias.detach().to(at::kBFloat16)},
                               .input_major = input_major};
    weight.mutable_grad() = at::ones_like(weight.detach());  // added to
    const at::Tensor up = at::randn({30, 20}).to(at::kBFloat16);
    const at::Tensor y = Linear(x, linear);
    EXPECT_EQ(y.scalar_type(), at::kBFloat16);
    (y * up).sum().backward();
    const at::Tensor x64 = DoubleLeaf(x), weight64 = DoubleLeaf(linear.weight_copies[0]),
                     bias64 = DoubleLeaf(linear.bias_copies[0]);
    const at::Tensor y64 = at::mm(x64, input_major ? weight64 : weight64.t()) + bias64;
    (y64 * up).sum().backward();
    EXPECT_LE(RelativeError(y, y64), kTolerance);
    EXPECT_LE(RelativeError(x.grad(), x64.grad()), kTolerance);
    EXPECT_EQ(weight.grad().scalar_type(), at::kFloat);
    EXPECT_LE(RelativeError(weight.grad() - 1, weight64.grad()), kTolerance);
    EXPECT_EQ(bias.grad().scalar_type(), at::kFloat);
    EXPECT_LE(RelativeError(bias.grad(), bias64.grad()), kTolerance);
  }
}

TEST(BFloat16Test, HeadLoss) {
  at::manual_seed(9);
  const int64_t rows = 300, vocabulary = 101, width = 24;
  const at::Tensor hidden = BFloat16Leaf({rows, width}),
                   head = RandomLeaf({vocabulary, width}, 0.5);
  const at::Tensor copy = head.detach().to(at::kBFloat16);
  const at::Tensor targets = at::randint(vocabulary, {rows}, at::kLong);
  const at::Tensor weights = (at::rand({rows}) > 0.3).to(at::kFloat);
  const at::Tensor loss = FusedHeadLoss(hidden, head, targets, weights, 50, copy);
  EXPECT_EQ(loss.scalar_type(), at::kFloat);
  loss.backward();
  const at::Tensor hidden64 = DoubleLeaf(hidden), head64 = DoubleLeaf(copy);
  const at::Tensor log_p = at::log_softmax(at::mm(hidden64, head64.t()), 1);
  const at::Tensor loss64 =
      -(log_p.gather(1, targets.unsqueeze(1)).squeeze(1) * weights.to(at::kDouble)).sum() / 50;
  loss64.backward();
  EXPECT_NEAR(loss.item<double>(), loss64.item<double>(), 2e-3 * loss64.item<double>());
  EXPECT_LE(RelativeError(hidden.grad(), hidden64.grad()), 2 * kTolerance);
  EXPECT_EQ(head.grad().scalar_type(), at::kFloat);
  EXPECT_LE(RelativeError(head.grad(), head64.grad()), 2 * kTolerance);
}

}  // namespace
}  // namespace breakeven
