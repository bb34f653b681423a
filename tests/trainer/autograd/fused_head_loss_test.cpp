#include "trainer/autograd/fused_head_loss.h"

#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <functional>

#include "comm/base/error.h"
#include "tests/trainer/autograd/gradient_check.h"
#include "trainer/autograd/linear.h"

namespace breakeven {
namespace {

// float32 sums of at most 700 terms against float64: some units of 6e-8.
constexpr double kTolerance = 3e-6;
constexpr double kNormalizer = 37.5;

// The definition, in float64 by plain ATen operations.
at::Tensor Reference(const at::Tensor& hidden_TC, const at::Tensor& head_VC,
                     const at::Tensor& targets_T, const at::Tensor& weights_T) {
  const at::Tensor log_p = at::log_softmax(at::mm(hidden_TC, head_VC.t()), 1);
  const at::Tensor of_target =
      log_p.gather(1, targets_T.clamp(0, head_VC.size(0) - 1).unsqueeze(1)).squeeze(1);
  return -(of_target * weights_T.to(at::kDouble)).sum() / kNormalizer;
}

struct Case {
  Case(int64_t num_tokens, int64_t num_rows, int64_t vocabulary = 101, int64_t hidden_size = 24) {
    at::manual_seed(7);
    hidden = at::randn({num_tokens, hidden_size});
    head = at::randn({vocabulary, hidden_size}) * 0.5;
    targets = at::randint(vocabulary, {num_tokens}, at::kLong);
    weights = at::zeros({num_tokens});
    const at::Tensor rows = at::randperm(num_tokens).narrow(0, 0, num_rows);
    weights.index_copy_(0, rows, at::rand({num_rows}) + 0.25);
    targets.masked_fill_(weights == 0, -100);  // what no row reads may be anything
    hidden.set_requires_grad(true);
    head.set_requires_grad(true);
    hidden64 = DoubleLeaf(hidden);
    head64 = DoubleLeaf(head);
  }
  at::Tensor Loss() const { return FusedHeadLoss(hidden, head, targets, weights, kNormalizer); }
  at::Tensor Expected() const { return Reference(hidden64, head64, targets, weights); }

  at::Tensor hidden, head, targets, weights, hidden64, head64;
};

// Rows: one chunk, its limit, beyond it, several; a single row; every row.
class FusedHeadLossTest : public testing::TestWithParam<int64_t> {};

TEST_P(FusedHeadLossTest, LossAndBothGradientsAreThoseOfTheFormula) {
  const Case c(700, GetParam());
  const at::Tensor loss = c.Loss();
  const at::Tensor expected = c.Expected();
  EXPECT_NEAR(loss.item<double>(), expected.item<double>(), kTolerance * expected.item<double>());
  loss.backward();
  expected.backward();
  EXPECT_LE(RelativeError(c.hidden.grad(), c.hidden64.grad()), kTolerance);
  EXPECT_LE(RelativeError(c.head.grad(), c.head64.grad()), kTolerance);
  const at::Tensor unweighted =
      c.hidden.grad().index_select(0, (c.weights == 0).nonzero().squeeze(1));
  EXPECT_EQ(unweighted.count_nonzero().item<int64_t>(), 0) << "rows of zero weight";
}

TEST_P(FusedHeadLossTest, AddsIntoAGradientThatIsThere) {
  const Case c(700, GetParam());
  const at::Tensor flat = at::randn({101 * 24 + 5});
  const at::Tensor before = flat.clone();
  c.head.mutable_grad() = flat.narrow(0, 3, 101 * 24).view({101, 24});
  c.Loss().backward();
  c.Expected().backward();
  const at::Tensor added = (flat - before).narrow(0, 3, 101 * 24).view({101, 24});
  // The sum is rounded at the size of what was there.
  EXPECT_LE((added.to(at::kDouble) - c.head64.grad()).abs().max().item<double>(), 2e-6);
  EXPECT_TRUE(at::equal(flat.narrow(0, 0, 3), before.narrow(0, 0, 3))) << "before the view";
  EXPECT_TRUE(at::equal(flat.slice(0, 3 + 101 * 24), before.slice(0, 3 + 101 * 24)))
      << "behind the view";
  EXPECT_LE(RelativeError(c.hidden.grad(), c.hidden64.grad()), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(Rows, FusedHeadLossTest, testing::Values(1, 5, 256, 257, 600, 700));

TEST(FusedHeadLossCasesTest, NoRowsGiveZeroAndZeroGradients) {
  for (const int64_t num_tokens : {0, 9}) {
    const Case c(num_tokens, 0);
    c.head.mutable_grad() = at::ones_like(c.head);
    const at::Tensor loss = FusedHeadLoss(c.hidden, c.head, c.targets, c.weights, 0);
    EXPECT_EQ(loss.item<float>(), 0.0f);
    loss.backward();
    EXPECT_TRUE(at::equal(c.hidden.grad(), at::zeros_like(c.hidden)));
    EXPECT_TRUE(at::equal(c.head.grad(), at::ones_like(c.head)));
  }
}

// The head is the embedding: both uses add into one view.
TEST(FusedHeadLossCasesTest, TiedTableGetsBothGradients) {
  for (const bool view : {false, true}) {
    const Case c(300, 280);
    const at::Tensor tokens = at::arange(300, at::kLong).remainder(50);
    if (view) c.head.mutable_grad() = at::zeros({2, 101, 24}).select(0, 1);
    FusedHeadLoss(Embedding(tokens, c.head), c.head, c.targets, c.weights, kNormalizer).backward();
    Reference(c.head64.index_select(0, tokens), c.head64, c.targets, c.weights).backward();
    EXPECT_LE(RelativeError(c.head.grad(), c.head64.grad()), kTolerance) << "view: " << view;
  }
}

TEST(FusedHeadLossCasesTest, WithoutGradientsOnlyTheLossIsComputed) {
  const Case c(300, 280);
  c.head.mutable_grad() = at::zeros_like(c.head);
  const c10::NoGradGuard no_gradients;
  const at::Tensor loss = c.Loss();
  EXPECT_FALSE(loss.requires_grad());
  EXPECT_NEAR(loss.item<double>(), c.Expected().item<double>(), kTolerance * loss.item<double>());
  EXPECT_EQ(c.head.grad().count_nonzero().item<int64_t>(), 0);
}

// Logits of ±2,000 neither overflow nor lose the loss.
TEST(FusedHeadLossCasesTest, LargeLogitsStayFinite) {
  Case c(40, 40);
  {
    const c10::NoGradGuard no_gradients;
    c.head.mul_(400);
  }
  c.head64 = DoubleLeaf(c.head);
  const at::Tensor loss = c.Loss();
  const at::Tensor expected = c.Expected();
  EXPECT_NEAR(loss.item<double>(), expected.item<double>(), 1e-5 * expected.item<double>());
  loss.backward();
  EXPECT_TRUE(c.hidden.grad().isfinite().all().item<bool>());
}

TEST(FusedHeadLossCasesTest, RefusesWhatItCannotGiveRightly) {
  const auto kind_of = [](const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::kUsage;
  };
  const Case scaled(9, 9);
  EXPECT_EQ(kind_of([&] { (scaled.Loss() * 2).backward(); }), ErrorKind::kInternal)
      << "not the root of backward";
  for (const int64_t outside : {int64_t{-1}, int64_t{101}}) {
    const Case c(9, 9);
    c.targets[4] = outside;
    EXPECT_EQ(kind_of([&] { c.Loss(); }), ErrorKind::kInternal) << "target " << outside;
  }
  const Case c(9, 9);
  EXPECT_EQ(kind_of([&] { FusedHeadLoss(c.hidden, c.head, c.targets, c.weights, 0); }),
            ErrorKind::kInternal)
      << "normalizer 0";
}

}  // namespace
}  // namespace breakeven
