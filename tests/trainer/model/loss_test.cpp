// The loss through a whole model: only the rows that carry it, and in bfloat16.
#include "trainer/model/loss.h"

#include <gtest/gtest.h>

#include "tests/trainer/model/model_fixture.h"
#include "trainer/autograd/fused_head_loss.h"

namespace breakeven {
namespace {

using namespace model_fixture;

class LossTest : public testing::TestWithParam<std::string> {};

struct Batch {
  PackedInput input = Pack({Text(9, 0), Text(1, 1), Text(20, 2)});
  at::Tensor targets = Int64s(Text(30, 5));
  at::Tensor weights = at::zeros({30});
};

at::Tensor PrepareGradients(Built& built) {
  at::Tensor gradients_P = at::zeros_like(built.storage->parameters_P);
  for (size_t i = 0; i < built.storage->ranges.size(); ++i) {
    built.model->parameters()[i].tensor.mutable_grad() =
        ViewOf(gradients_P, built.storage->ranges[i]);
  }
  return gradients_P;
}

// A leaf's gradient of all rows is that of the rows with loss alone.
TEST_P(LossTest, LeavingOutRowsWithoutLossChangesNothing) {
  Built built = BuildRandom(GetParam());
  const at::Tensor gradients_P = PrepareGradients(built);
  for (const std::vector<int64_t>& rows :
       std::vector<std::vector<int64_t>>{{8, 29}, {0}, {}, {1, 2, 3, 9, 28}, [] {
                                           std::vector<int64_t> all;
                                           for (int64_t i = 0; i < 30; ++i) all.push_back(i);
                                           return all;
                                         }()}) {
    Batch batch;
    for (const int64_t row : rows) batch.weights[row] = 0.5f + static_cast<float>(row % 3);
    gradients_P.zero_();
    const at::Tensor expected =
        FusedHeadLoss(built.model->HiddenStates(batch.input), built.model->HeadWeight(),
                      batch.targets, batch.weights, 7);
    expected.backward();
    const at::Tensor expected_P = gradients_P.clone();
    gradients_P.zero_();
    const at::Tensor loss =
        WeightedLoss(*built.model, batch.input, batch.targets, batch.weights, 7);
    loss.backward();
    EXPECT_NEAR(loss.item<float>(), expected.item<float>(), 1e-5) << rows.size();
    EXPECT_LE(RelativeDistance(gradients_P, expected_P, 1e-12), 1e-5) << rows.size();
  }
}

TEST_P(LossTest, OnlyTheWantedRowsOfHiddenStates) {
  Built built = BuildRandom(GetParam());
  Batch batch;
  const at::Tensor all = built.model->HiddenStates(batch.input);
  batch.input.rows_R = Int64s({0, 11, 12, 29});
  const at::Tensor some = built.model->HiddenStates(batch.input);
  ASSERT_EQ(some.size(0), 4);
  EXPECT_LE(RelativeDistance(some, all.index_select(0, batch.input.rows_R)), 1e-6);
}

// bfloat16 has eight bits: a loss to a per mille or two, a gradient to some per cent of its norm.
TEST_P(LossTest, InBFloat16ItIsThatOfFloat32ToItsRounding) {
  Built exact = BuildRandom(GetParam());
  Built rounded = BuildRounded(GetParam(), exact);
  EXPECT_TRUE(
      at::equal(rounded.storage->copies_P, exact.storage->parameters_P.detach().to(at::kBFloat16)));
  const at::Tensor exact_P = PrepareGradients(exact), rounded_P = PrepareGradients(rounded);
  Batch batch;
  batch.weights.fill_(1);
  batch.weights.narrow(0, 0, 5).zero_();
  const at::Tensor expected =
      WeightedLoss(*exact.model, batch.input, batch.targets, batch.weights, 25);
  const at::Tensor loss =
      WeightedLoss(*rounded.model, batch.input, batch.targets, batch.weights, 25);
  EXPECT_EQ(rounded.model->HiddenStates(batch.input).scalar_type(), at::kBFloat16);
  expected.backward();
  loss.backward();
  EXPECT_NEAR(loss.item<float>(), expected.item<float>(), 5e-3 * expected.item<float>());
  double largest = 0;
  for (const ParameterRange& range : exact.storage->ranges) {
    largest = std::max(largest, ViewOf(exact_P, range).norm().item<double>());
  }
  for (const ParameterRange& range : exact.storage->ranges) {
    EXPECT_LE(RelativeDistance(ViewOf(rounded_P, range), ViewOf(exact_P, range), 0.1 * largest),
              0.03)
        << range.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, LossTest, testing::Values(Gpt2Json(), LlamaJson(), Qwen2Json()));

}  // namespace
}  // namespace breakeven
