// Packed equals alone: the logits and gradients of segments laid end to end are those of each example
// by itself.
#include <gtest/gtest.h>

#include "tests/trainer/model/model_fixture.h"
#include "trainer/autograd/fused_head_loss.h"

namespace breakeven {
namespace {

using namespace model_fixture;

// Both ways compute the same sums, in other orders (the matrix products have other heights): a few
// units of 6e-8 in the last place, grown by two layers. A leak between segments shows at 1e-2 and more.
constexpr double kTolerance = 1e-5;

struct Example {
  std::vector<int64_t> tokens;
  std::vector<float> weights;  // loss weight of the prediction made at each token
};

// Ragged, with neighbours of equal length (which run as one batch), single tokens with and without a
// target, and examples none of whose rows carry loss.
std::vector<Example> Examples() {
  std::vector<Example> examples;
  const auto add = [&](int64_t length, int64_t loss_from, float weight) {
    Example example{Text(length, static_cast<int64_t>(examples.size())), {}};
    for (int64_t i = 0; i < length; ++i) {
      example.weights.push_back(i >= loss_from ? weight : 0.0f);
    }
    examples.push_back(std::move(example));
  };
  add(5, 2, 1.0f);
  add(1, 1, 0.0f);
  add(7, 4, 0.5f);
  add(7, 0, 1.0f);
  add(7, 7, 0.0f);
  add(1, 0, 2.0f);
  add(19, 11, 0.25f);
  add(3, 3, 0.0f);
  return examples;
}

at::Tensor Targets(const std::vector<int64_t>& tokens) {
  std::vector<int64_t> targets;
  for (const int64_t token : tokens) targets.push_back((token * 11 + 4) % kVocabulary);
  return Int64s(targets);
}

class PackedTest : public testing::TestWithParam<std::string> {
 protected:
  PackedTest() : built_(BuildRandom(GetParam())), examples_(Examples()) {
    gradients_P_ = at::zeros_like(built_.storage->parameters_P);
    for (size_t i = 0; i < built_.model->parameters().size(); ++i) {
      built_.model->parameters()[i].tensor.mutable_grad() =
          ViewOf(gradients_P_, built_.storage->ranges[i]);
    }
  }

  // All examples in one pack; of the loss only what `only` carries, or all of it at -1.
  void AddPackedGradients(int64_t only) {
    std::vector<std::vector<int64_t>> texts;
    std::vector<int64_t> all;
    std::vector<float> weights;
    for (size_t e = 0; e < examples_.size(); ++e) {
      texts.push_back(examples_[e].tokens);
      all.insert(all.end(), examples_[e].tokens.begin(), examples_[e].tokens.end());
      const bool counts = only < 0 || only == static_cast<int64_t>(e);
      for (const float weight : examples_[e].weights) weights.push_back(counts ? weight : 0.0f);
    }
    const at::Tensor hidden = built_.model->HiddenStates(Pack(texts));
    FusedHeadLoss(hidden, built_.model->HeadWeight(), Targets(all), at::tensor(weights),
                  kNormalizer)
        .backward();
  }

  void AddGradientsAlone(const Example& example) {
    const at::Tensor hidden = built_.model->HiddenStates(Pack({example.tokens}));
    FusedHeadLoss(hidden, built_.model->HeadWeight(), Targets(example.tokens),
                  at::tensor(example.weights), kNormalizer)
        .backward();
  }

  at::Tensor TakeGradients() {
    const at::Tensor taken = gradients_P_.clone();
    gradients_P_.zero_();
    return taken;
  }

  // Parameter by parameter. Some are zero in exact arithmetic: a single token's query and key (a softmax over
  // one is 1), a key's bias (it shifts all scores alike). They come out as rounding of terms of the size of
  // other gradients, 5e-8 of the largest was seen; so no norm counts as less than 2 % of the largest.
  void ExpectSameGradients(const at::Tensor& packed, const at::Tensor& alone,
                           const std::string& what) {
    double largest = 0;
    for (const ParameterRange& range : built_.storage->ranges) {
      largest = std::max(largest, ViewOf(alone, range).norm().item<double>());
    }
    for (const ParameterRange& range : built_.storage->ranges) {
      EXPECT_LE(RelativeDistance(ViewOf(packed, range), ViewOf(alone, range),
                                 std::max(0.02 * largest, 1e-12)),
                kTolerance)
          << what << ", " << range.name;
    }
  }

  static constexpr double kNormalizer = 13;
  Built built_;
  std::vector<Example> examples_;
  at::Tensor gradients_P_;
};

TEST_P(PackedTest, LogitsOfEverySegmentAreThoseOfItAlone) {
  const c10::NoGradGuard no_gradients;
  std::vector<std::vector<int64_t>> texts;
  for (const Example& example : examples_) texts.push_back(example.tokens);
  const PackedInput packed = Pack(texts);
  const at::Tensor head_CV = built_.model->HeadWeight().t();
  const at::Tensor logits = at::mm(built_.model->HiddenStates(packed), head_CV);
  for (size_t e = 0; e < texts.size(); ++e) {
    const at::Tensor alone = at::mm(built_.model->HiddenStates(Pack({texts[e]})), head_CV);
    EXPECT_LE(RelativeDistance(
                  logits.slice(0, packed.segment_starts[e], packed.segment_starts[e + 1]), alone),
              kTolerance)
        << "example " << e << " of " << texts[e].size() << " tokens";
  }
}

TEST_P(PackedTest, GradientsOfEveryExampleAreThoseOfItAlone) {
  for (size_t e = 0; e < examples_.size(); ++e) {
    AddPackedGradients(static_cast<int64_t>(e));
    const at::Tensor packed = TakeGradients();
    AddGradientsAlone(examples_[e]);
    const at::Tensor alone = TakeGradients();
    ExpectSameGradients(packed, alone, "example " + std::to_string(e));
    const bool carries_loss = at::tensor(examples_[e].weights).count_nonzero().item<int64_t>() > 0;
    EXPECT_EQ(packed.count_nonzero().item<int64_t>() > 0, carries_loss) << "example " << e;
  }
}

TEST_P(PackedTest, GradientsOfAllAreTheSumOfThoseAlone) {
  AddPackedGradients(-1);
  const at::Tensor packed = TakeGradients();
  for (const Example& example : examples_) AddGradientsAlone(example);
  ExpectSameGradients(packed, TakeGradients(), "all");
}

TEST_P(PackedTest, NoTokensGiveNoHiddenStatesAndNoGradients) {
  const at::Tensor hidden = built_.model->HiddenStates(Pack({}));
  EXPECT_EQ(hidden.sizes(), (std::vector<int64_t>{0, built_.model->config().hidden_size}));
  const at::Tensor loss = FusedHeadLoss(hidden, built_.model->HeadWeight(), Int64s({}),
                                        at::empty({0}, at::kFloat), kNormalizer);
  loss.backward();
  EXPECT_EQ(loss.item<float>(), 0.0f);
  EXPECT_EQ(TakeGradients().count_nonzero().item<int64_t>(), 0);
}

INSTANTIATE_TEST_SUITE_P(Families, PackedTest,
                         testing::Values(Gpt2Json(), LlamaJson(), Qwen2Json()),
                         [](const auto& chosen) {
                           return ParseModelConfig(chosen.param, "config.json").model_type;
                         });

}  // namespace
}  // namespace breakeven
