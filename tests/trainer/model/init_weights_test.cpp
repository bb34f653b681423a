// Fresh weights: a function of seed and name, with the deviations of each family.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/trainer/model/model_fixture.h"

namespace breakeven {
namespace {

using namespace model_fixture;

std::string Gpt2OfDepth(int64_t layers, int64_t vocabulary = 400) {
  return R"({"model_type": "gpt2", "n_embd": 64, "n_head": 2, "n_positions": 128, "n_layer": )" +
         std::to_string(layers) + R"(, "vocab_size": )" + std::to_string(vocabulary) + "}";
}

std::string WideLlama() {
  return R"({"model_type": "llama", "vocab_size": 400, "hidden_size": 64, "intermediate_size": 96,
             "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
             "max_position_embeddings": 32, "attention_bias": true, "initializer_range": 0.05,
             "tie_word_embeddings": false})";
}

Built Initialized(const std::string& json, uint64_t seed) {
  Built built = Build(json);
  InitializeWeights(*built.model, seed);
  return built;
}

at::Tensor Weight(const Built& built, const std::string& name) {
  for (const NamedParameter& parameter : built.model->parameters()) {
    if (parameter.name == name) return parameter.tensor.detach();
  }
  ADD_FAILURE() << "no parameter " << name;
  return at::zeros({1});
}

TEST(InitWeightsTest, SameSeedSameBitsOnAnyNumberOfThreads) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const Built one = Initialized(WideLlama(), 3);
  at::set_num_threads(3);
  const Built three = Initialized(WideLlama(), 3);
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(one.storage->parameters_P, three.storage->parameters_P));
}

TEST(InitWeightsTest, AnotherSeedOrNameIsAnotherWeight) {
  const Built first = Initialized(Gpt2OfDepth(2), 3);
  const Built second = Initialized(Gpt2OfDepth(2), 4);
  const std::string name = "transformer.h.0.attn.c_attn.weight";
  EXPECT_FALSE(at::equal(Weight(first, name), Weight(second, name)));
  EXPECT_FALSE(at::equal(Weight(first, name), Weight(first, "transformer.h.1.attn.c_attn.weight")));
}

TEST(InitWeightsTest, OtherLayersAndSizesLeaveAWeightAsItIs) {
  const Built shallow = Initialized(Gpt2OfDepth(1), 3);
  const Built deep = Initialized(Gpt2OfDepth(4, 401), 3);
  for (const char* name : {"transformer.wpe.weight", "transformer.h.0.attn.c_attn.weight",
                           "transformer.h.0.mlp.c_fc.weight"}) {
    EXPECT_TRUE(at::equal(Weight(shallow, name), Weight(deep, name))) << name;
  }
  // An element depends on its place only, so a longer table begins as the shorter one.
  EXPECT_TRUE(at::equal(Weight(shallow, "transformer.wte.weight"),
                        Weight(deep, "transformer.wte.weight").narrow(0, 0, 400)));
}

// Mean 0 and the deviation, each within 5 standard errors of a sample of this size.
void ExpectNormal(const NamedParameter& parameter, double deviation) {
  const at::Tensor values = parameter.tensor.detach().to(at::kDouble);
  const auto count = static_cast<double>(values.numel());
  EXPECT_NEAR(values.mean().item<double>(), 0, 5 * deviation / std::sqrt(count)) << parameter.name;
  EXPECT_NEAR(values.std().item<double>(), deviation, 5 * deviation / std::sqrt(2 * count))
      << parameter.name;
  EXPECT_GT(values.abs().max().item<double>(), 2.5 * deviation)
      << parameter.name << ": a normal distribution has tails";
}

TEST(InitWeightsTest, Gpt2ScalesResidualProjections) {
  const Built built = Initialized(Gpt2OfDepth(8), 3);
  for (const NamedParameter& parameter : built.model->parameters()) {
    if (parameter.name.ends_with(".bias")) {
      EXPECT_EQ(parameter.tensor.count_nonzero().item<int64_t>(), 0) << parameter.name;
    } else if (parameter.name.find("ln_") != std::string::npos) {
      EXPECT_TRUE(at::equal(parameter.tensor.detach(), at::ones_like(parameter.tensor)))
          << parameter.name;
    } else {
      ExpectNormal(parameter, parameter.name.ends_with("c_proj.weight") ? 0.02 / 4 : 0.02);
    }
  }
}

TEST(InitWeightsTest, LlamaTakesTheConfigsRange) {
  const Built built = Initialized(WideLlama(), 3);
  for (const NamedParameter& parameter : built.model->parameters()) {
    if (parameter.name.ends_with(".bias")) {
      EXPECT_EQ(parameter.tensor.count_nonzero().item<int64_t>(), 0) << parameter.name;
    } else if (parameter.name.find("norm") != std::string::npos) {
      EXPECT_TRUE(at::equal(parameter.tensor.detach(), at::ones_like(parameter.tensor)))
          << parameter.name;
    } else {
      ExpectNormal(parameter, 0.05);
    }
  }
}

}  // namespace
}  // namespace breakeven
