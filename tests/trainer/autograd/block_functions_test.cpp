// The fused passes beside the formulas that define them, in float64 by plain ATen operations.
#include "trainer/autograd/block_functions.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/trainer/autograd/gradient_check.h"

namespace breakeven {
namespace {

// float32 against float64, in norms over whole tensors: some units of 6e-8.
constexpr double kTolerance = 2e-6;

struct NormCase {
  NormKind kind;
  bool update;
  bool bias;
  int64_t tokens;
  int64_t width;  // not a multiple of the vector's sixteen lanes, too
  bool view;      // gradients go into views that hold something
};

class ResidualNormTest : public testing::TestWithParam<NormCase> {};

TEST_P(ResidualNormTest, ForwardAndGradients) {
  const NormCase& c = GetParam();
  at::manual_seed(3);
  const at::Tensor residual = RandomLeaf({c.tokens, c.width}, 2, 0.5);
  const at::Tensor update = c.update ? RandomLeaf({c.tokens, c.width}) : at::Tensor();
  NormWeights norm{c.kind, RandomLeaf({c.width}, 0.3, 1), {}, 1e-3};
  if (c.bias) norm.bias_C = RandomLeaf({c.width});
  const at::Tensor up_sum = at::randn({c.tokens, c.width});
  const at::Tensor up_normed = at::randn({c.tokens, c.width});

  const at::Tensor residual64 = DoubleLeaf(residual), weight64 = DoubleLeaf(norm.weight_C);
  const at::Tensor update64 = c.update ? DoubleLeaf(update) : at::Tensor();
  const at::Tensor bias64 = c.bias ? DoubleLeaf(norm.bias_C) : at::Tensor();
  const at::Tensor sum64 = c.update ? residual64 + update64 : residual64 * 1;
  const at::Tensor centered = c.kind == NormKind::kLayer ? sum64 - sum64.mean(-1, true) : sum64;
  at::Tensor normed64 = centered / (centered.pow(2).mean(-1, true) + 1e-3).sqrt() * weight64;
  if (c.bias) normed64 = normed64 + bias64;

  const at::Tensor held = at::randn({2, c.width});
  if (c.view) {
    norm.weight_C.mutable_grad() = held[0].clone();
    if (c.bias) norm.bias_C.mutable_grad() = held[1].clone();
  }
  const ResidualNormResult result = ResidualNorm(residual, update, norm);
  EXPECT_LE(RelativeError(result.residual_TC, sum64), kTolerance);
  EXPECT_LE(RelativeError(result.normed_TC, normed64), kTolerance);
  ((result.residual_TC * up_sum).sum() + (result.normed_TC * up_normed).sum()).backward();
  ((sum64 * up_sum).sum() + (normed64 * up_normed).sum()).backward();
  EXPECT_LE(RelativeError(residual.grad(), residual64.grad()), kTolerance);
  if (c.update) {
    EXPECT_LE(RelativeError(update.grad(), update64.grad()), kTolerance);
  }
  const double before = c.view ? 1 : 0;
  EXPECT_LE(RelativeError(norm.weight_C.grad(), weight64.grad() + held[0] * before), kTolerance);
  if (c.bias) {
    EXPECT_LE(RelativeError(norm.bias_C.grad(), bias64.grad() + held[1] * before), kTolerance);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, ResidualNormTest,
                         testing::Values(NormCase{NormKind::kRms, true, false, 70, 48, false},
                                         NormCase{NormKind::kRms, false, false, 33, 37, false},
                                         NormCase{NormKind::kRms, true, false, 1, 5, true},
                                         NormCase{NormKind::kLayer, true, true, 70, 48, false},
                                         NormCase{NormKind::kLayer, false, true, 33, 37, true},
                                         NormCase{NormKind::kLayer, true, false, 32, 16, false}));

// The end of a network uses only the normed rows, an unused norm only the stream.
TEST(ResidualNormUseTest, OneOfTheTwoOutputsMayGoUnused) {
  at::manual_seed(3);
  const NormWeights norm{NormKind::kRms, RandomLeaf({20}, 0.3, 1), {}, 1e-5};
  for (const bool use_normed : {true, false}) {
    const at::Tensor residual = RandomLeaf({9, 20}), update = RandomLeaf({9, 20});
    const at::Tensor residual64 = DoubleLeaf(residual), update64 = DoubleLeaf(update);
    const at::Tensor up = at::randn({9, 20});
    const ResidualNormResult result = ResidualNorm(residual, update, norm);
    ((use_normed ? result.normed_TC : result.residual_TC) * up).sum().backward();
    const at::Tensor sum64 = residual64 + update64;
    const at::Tensor normed64 = sum64 / (sum64.pow(2).mean(-1, true) + 1e-5).sqrt() *
                                norm.weight_C.detach().to(at::kDouble);
    ((use_normed ? normed64 : sum64) * up).sum().backward();
    EXPECT_LE(RelativeError(residual.grad(), residual64.grad()), kTolerance) << use_normed;
    EXPECT_LE(RelativeError(update.grad(), update64.grad()), kTolerance) << use_normed;
  }
}

TEST(SwiGluTest, ForwardAndGradients) {
  at::manual_seed(4);
  for (const auto& [tokens, width] : std::vector<std::pair<int64_t, int64_t>>{{70, 40}, {1, 3}}) {
    const at::Tensor gate_up = RandomLeaf({tokens, 2 * width}, 3);
    const at::Tensor gate_up64 = DoubleLeaf(gate_up);
    const at::Tensor up = at::randn({tokens, width});
    const at::Tensor gate64 = gate_up64.narrow(1, 0, width);
    const at::Tensor out64 = gate64 / (1 + (-gate64).exp()) * gate_up64.narrow(1, width, width);
    const at::Tensor out = SwiGlu(gate_up);
    EXPECT_LE(RelativeError(out, out64), kTolerance);
    (out * up).sum().backward();
    (out64 * up).sum().backward();
    EXPECT_LE(RelativeError(gate_up.grad(), gate_up64.grad()), kTolerance);
  }
}

TEST(SwiGluTest, FarGatesNeitherOverflowNorTurnToNaN) {
  const at::Tensor gate_up =
      at::tensor({-200.0f, 200.0f, 0.0f, 2.0f, 2.0f, 2.0f}).view({1, 6}).set_requires_grad(true);
  const at::Tensor out = SwiGlu(gate_up);
  EXPECT_TRUE(at::allclose(out, at::tensor({0.0f, 400.0f, 0.0f}).view({1, 3})));
  out.sum().backward();
  EXPECT_TRUE(at::allclose(gate_up.grad(),
                           at::tensor({0.0f, 2.0f, 1.0f, 0.0f, 200.0f, 0.0f}).view({1, 6})));
}

// Heads [T, n, D] turned by the angles, halves layout.
at::Tensor Rotated(const at::Tensor& heads, const at::Tensor& cos, const at::Tensor& sin) {
  const int64_t half = heads.size(2) / 2;
  const at::Tensor first = heads.narrow(2, 0, half), second = heads.narrow(2, half, half);
  const at::Tensor c = cos.unsqueeze(1), s = sin.unsqueeze(1);
  return at::cat({first * c - second * s, second * c + first * s}, 2);
}

// Attention written out: every head against its key head, one segment after another.
at::Tensor AttentionFormula(const at::Tensor& qkv_TA, const RotaryAngles& angles,
                            const AttentionShape& shape, const std::vector<int64_t>& starts) {
  const int64_t h = shape.num_heads, k = shape.num_kv_heads, d = shape.head_dim;
  at::Tensor query = qkv_TA.narrow(1, 0, h * d).unflatten(1, {h, d});
  at::Tensor key = qkv_TA.narrow(1, h * d, k * d).unflatten(1, {k, d});
  const at::Tensor value = qkv_TA.narrow(1, (h + k) * d, k * d).unflatten(1, {k, d});
  if (angles.cos.defined()) {
    const at::Tensor cos = angles.cos.to(at::kDouble), sin = angles.sin.to(at::kDouble);
    query = Rotated(query, cos, sin);
    key = Rotated(key, cos, sin);
  }
  std::vector<at::Tensor> segments;
  for (size_t b = 0; b + 1 < starts.size(); ++b) {
    const int64_t length = starts[b + 1] - starts[b];
    const at::Tensor future = at::ones({length, length}, at::kBool).triu(1);
    std::vector<at::Tensor> heads;
    for (int64_t head = 0; head < h; ++head) {
      const auto rows = [&](const at::Tensor& all, int64_t index) {
        return all.narrow(0, starts[b], length).select(1, index);
      };
      const int64_t group = head / (h / k);
      const at::Tensor scores =
          at::mm(rows(query, head), rows(key, group).t()) / std::sqrt(static_cast<double>(d));
      const at::Tensor p =
          at::softmax(scores.masked_fill(future, -std::numeric_limits<double>::infinity()), 1);
      heads.push_back(at::mm(p, rows(value, group)));
    }
    segments.push_back(at::cat(heads, 1));
  }
  return at::cat(segments, 0);
}

struct AttentionCase {
  AttentionShape shape;
  bool rotary;
  std::vector<int64_t> starts;
};

class PackedAttentionTest : public testing::TestWithParam<AttentionCase> {};

TEST_P(PackedAttentionTest, ForwardAndGradients) {
  const AttentionCase& c = GetParam();
  at::manual_seed(6);
  const int64_t tokens = c.starts.back();
  const int64_t columns = (c.shape.num_heads + 2 * c.shape.num_kv_heads) * c.shape.head_dim;
  RotaryAngles angles;
  if (c.rotary) {
    const at::Tensor turn = at::randn({tokens, c.shape.head_dim / 2});
    angles = {turn.cos(), turn.sin()};
  }
  const at::Tensor qkv = RandomLeaf({tokens, columns});
  const at::Tensor qkv64 = DoubleLeaf(qkv);
  const at::Tensor up = at::randn({tokens, c.shape.num_heads * c.shape.head_dim});
  // It overwrites its input, so it gets the output of something, as in the model.
  const at::Tensor out = PackedAttention(qkv * 1, angles, c.shape, c.starts);
  const at::Tensor out64 = AttentionFormula(qkv64, angles, c.shape, c.starts);
  ASSERT_EQ(out.sizes(), out64.sizes());
  EXPECT_LE(RelativeError(out, out64), kTolerance);
  (out * up).sum().backward();
  (out64 * up).sum().backward();
  EXPECT_LE(RelativeError(qkv.grad(), qkv64.grad()), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(Cases, PackedAttentionTest,
                         testing::Values(AttentionCase{{3, 3, 8}, false, {0, 5, 6, 11, 16}},
                                         AttentionCase{{6, 2, 8}, true, {0, 1, 2, 9, 40, 71}},
                                         AttentionCase{{4, 1, 6}, true, {0, 70}},
                                         AttentionCase{{2, 2, 64}, true, {0, 3, 6, 9, 10}}));

TEST(RotaryTest, RotatesQueriesAndKeysButNotValues) {
  at::manual_seed(8);
  const AttentionShape shape{4, 2, 6};
  const at::Tensor turn = at::randn({9, 3});
  at::Tensor qkv = at::randn({9, 48});
  const at::Tensor before = qkv.clone();
  RotateInPlace(qkv, {turn.cos(), turn.sin()}, shape);
  const at::Tensor turn64 = turn.to(at::kDouble);
  const at::Tensor expected = Rotated(before.to(at::kDouble).narrow(1, 0, 36).unflatten(1, {6, 6}),
                                      turn64.cos(), turn64.sin());
  EXPECT_LE(RelativeError(qkv.narrow(1, 0, 36), expected.flatten(1)), kTolerance);
  EXPECT_TRUE(at::equal(qkv.narrow(1, 36, 12), before.narrow(1, 36, 12))) << "values";
  const at::Tensor kept = before.clone();
  at::Tensor same = before.clone();
  RotateInPlace(same, {}, shape);
  EXPECT_TRUE(at::equal(same, kept)) << "no angles, no rotation";
}

}  // namespace
}  // namespace breakeven
