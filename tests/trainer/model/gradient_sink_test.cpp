// Replacing what stands in the gradient buffer instead of zeroing it and adding: the same bits.
#include "trainer/autograd/gradient_sink.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "tests/trainer/model/model_fixture.h"
#include "trainer/autograd/aten_only.h"
#include "trainer/model/loss.h"

namespace breakeven {
namespace {

using model_fixture::Built;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Runs a backward for each weight of the loss, the first one replacing or adding to what is there.
class GradientSinkTest : public testing::TestWithParam<std::tuple<std::string, Recompute>> {
 protected:
  GradientSinkTest() : built_(model_fixture::BuildRandom(std::get<0>(GetParam()))) {
    built_.model->set_recompute(std::get<1>(GetParam()));
  }

  at::Tensor Gradients(bool replace, const std::vector<float>& weights) {
    Model& model = *built_.model;
    const std::vector<ParameterRange>& ranges = built_.storage->ranges;
    const at::Tensor flat_P = at::zeros_like(built_.storage->parameters_P);
    for (size_t i = 0; i < ranges.size(); ++i) {
      at::Tensor place = ViewOf(flat_P, ranges[i]);
      // A table of its own has rows that no token looks up: it is zeroed before.
      const bool only_added =
          i + 1 == ranges.size() && !model.HeadWeight().is_same(model.TokenTable());
      if (replace && !only_added) place.fill_(kNan);
      model.parameters()[i].tensor.mutable_grad() = place;
    }
    model.gradient_sink() = {.overwrites = replace};
    const PackedInput input = model_fixture::Pack(
        {model_fixture::Text(9, 1), model_fixture::Text(4, 2), model_fixture::Text(4, 3)});
    for (const float weight : weights) {
      at::Tensor loss_weight_T = at::full({input.num_tokens()}, weight);
      loss_weight_T.narrow(0, 0, 5).zero_();
      WeightedLoss(model, input, input.tokens_T.roll(-1), loss_weight_T, 17.0).backward();
      model.gradient_sink().overwrites = false;
    }
    for (const NamedParameter& parameter : model.parameters()) {
      parameter.tensor.mutable_grad() = at::Tensor();
    }
    return flat_P;
  }

  Built built_;
};

TEST_P(GradientSinkTest, ReplacedIsZeroedAndAdded) {
  for (const std::vector<float>& weights : {std::vector<float>{1}, {1, 0.5f, 2}, {0, 1}}) {
    const at::Tensor added_P = Gradients(false, weights), replaced_P = Gradients(true, weights);
    EXPECT_GT(added_P.abs().sum().item<float>(), 0);
    EXPECT_TRUE(at::equal(replaced_P, added_P)) << "backwards: " << weights.size();
  }
  EXPECT_TRUE(built_.model->gradient_sink().used);
}

TEST_P(GradientSinkTest, AlsoTheWayOfGpus) {
  const AtenOnly aten_only;
  EXPECT_TRUE(at::equal(Gradients(true, {1, 0.5f}), Gradients(false, {1, 0.5f})));
}

INSTANTIATE_TEST_SUITE_P(
    Families, GradientSinkTest,
    testing::Combine(testing::Values(model_fixture::Gpt2Json(), model_fixture::LlamaJson(),
                                     model_fixture::Qwen2Json()),
                     testing::Values(Recompute::kNone, Recompute::kSelective, Recompute::kFull)));

}  // namespace
}  // namespace breakeven
