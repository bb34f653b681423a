#include "trainer/autograd/recompute.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "comm/base/error.h"
#include "tests/trainer/model/model_fixture.h"
#include "trainer/autograd/fused_head_loss.h"
#include "trainer/autograd/gradient_hooks.h"

namespace breakeven {
namespace {

using model_fixture::Built;

struct Outcome {
  float loss = 0;
  at::Tensor gradient_P;
  std::vector<int> hooks;  // calls, by parameter
};

Outcome Backward(Built& built, Recompute recompute) {
  built.model->set_recompute(recompute);
  Outcome outcome;
  outcome.gradient_P = at::zeros_like(built.storage->parameters_P);
  std::vector<at::Tensor> parameters;
  for (size_t i = 0; i < built.storage->ranges.size(); ++i) {
    parameters.push_back(built.model->parameters()[i].tensor);
    parameters.back().mutable_grad() = ViewOf(outcome.gradient_P, built.storage->ranges[i]);
  }
  outcome.hooks.assign(parameters.size(), 0);
  const GradientHooks hooks(parameters, [&](size_t i) { ++outcome.hooks[i]; });
  const PackedInput input = model_fixture::Pack(
      {model_fixture::Text(9, 1), model_fixture::Text(4, 2), model_fixture::Text(4, 3)});
  const at::Tensor loss =
      FusedHeadLoss(built.model->HiddenStates(input), built.model->HeadWeight(),
                    input.tokens_T.roll(-1), at::ones({input.num_tokens()}), 17.0);
  loss.backward();
  outcome.loss = loss.item<float>();
  for (at::Tensor& parameter : parameters) parameter.mutable_grad() = at::Tensor();
  return outcome;
}

class RecomputeTest : public testing::TestWithParam<std::string> {};

TEST_P(RecomputeTest, LossAndGradientsAreTheSameBitsAndHooksRunOnce) {
  Built built = model_fixture::BuildRandom(GetParam());
  const Outcome kept = Backward(built, Recompute::kNone);
  EXPECT_GT(kept.gradient_P.abs().sum().item<float>(), 0);
  for (const Recompute mode : {Recompute::kSelective, Recompute::kFull}) {
    const Outcome again = Backward(built, mode);
    EXPECT_EQ(again.loss, kept.loss);
    EXPECT_TRUE(at::equal(again.gradient_P, kept.gradient_P)) << static_cast<int>(mode);
    EXPECT_EQ(again.hooks, std::vector<int>(kept.hooks.size(), 1)) << static_cast<int>(mode);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, RecomputeTest,
                         testing::Values(model_fixture::Gpt2Json(), model_fixture::LlamaJson(),
                                         model_fixture::Qwen2Json()));

TEST(Recompute, KeepsNothingButTheInput) {
  at::Tensor parameter = at::ones({3}).requires_grad_(true);
  std::weak_ptr<int> inner;
  at::Tensor output;
  {
    const auto witness = std::make_shared<int>(0);
    inner = witness;
    const at::Tensor input = at::arange(3, at::kFloat).requires_grad_(true);
    output = Recomputed(
        [&parameter, witness](const at::Tensor& x) {
          ++*witness;
          return (x * parameter).exp();
        },
        input * 2);
    EXPECT_EQ(*witness, 1);
    output.sum().backward();
    EXPECT_EQ(*witness, 2) << "once more in backward";
    EXPECT_TRUE(at::allclose(input.grad(), 2 * (input * 2).exp()));
    EXPECT_TRUE(at::allclose(parameter.grad(), 2 * input * (input * 2).exp()));
  }
  EXPECT_TRUE(inner.expired()) << "what the body holds goes with its backward";
}

TEST(Recompute, AnErrorInsideKeepsItsKind) {
  int calls = 0;
  const at::Tensor input = at::ones({2}).requires_grad_(true);
  const at::Tensor output = Recomputed(
      [&calls](const at::Tensor& x) {
        if (++calls == 2) throw Error(ErrorKind::kCommunication, "gone");
        return x * 2;
      },
      input);
  try {
    output.sum().backward();
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
  }
}

TEST(Recompute, AnInputWithoutGradientIsABug) {
  EXPECT_THROW(Recomputed([](const at::Tensor& x) { return x; }, at::ones({2})), Error);
}

}  // namespace
}  // namespace breakeven
