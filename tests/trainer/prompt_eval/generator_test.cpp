#include "trainer/prompt_eval/generator.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "comm/base/error.h"
#include "comm/world.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_model.h"
#include "trainer/prompt_eval/packing.h"

namespace breakeven {
namespace {

class GeneratorTest : public ::testing::Test {
 protected:
  GeneratorTest() {
    const TempFolder folder;
    WriteTinyTokenizer(folder.path());
    tokenizer_ = Tokenizer::Load(folder.path());
    model_ = BuildModel(ParseModelConfig(TinyConfigJson(), "tiny config"), storage_);
    InitializeWeights(*model_, 5);
    for (const char* text : {"the cat", "a", "in the hat, at noon", "xyz", "0123456789 abc"}) {
      prompts_.push_back(tokenizer_->Encode(text));
    }
  }

  std::vector<GeneratedText> Generate(const GenerateOptions& options, int world_size = 1) {
    std::vector<GeneratedText> texts;
    RunThreadWorld(world_size, [&](World& world) {
      at::set_num_threads(1);
      const GenerateResult result =
          GenerateTexts(*model_, *tokenizer_, *world.control, prompts_, options, 20);
      if (world.is_root()) texts = result.texts;
    });
    return texts;
  }

  // Greedy by running the whole text again for each token.
  std::vector<int32_t> GenerateSlowly(std::vector<int32_t> tokens, int64_t count) {
    at::set_num_threads(1);
    const c10::InferenceMode inference;
    std::vector<int32_t> added;
    for (int64_t i = 0; i < count; ++i) {
      SegmentPacker packer;
      packer.Add(tokens, 0);
      const at::Tensor hidden_TC = model_->HiddenStates(packer.Pack(at::kCPU));
      const at::Tensor logits_V = at::matmul(hidden_TC[-1], model_->HeadWeight().t());
      added.push_back(static_cast<int32_t>(logits_V.argmax().item<int64_t>()));
      tokens.push_back(added.back());
    }
    return added;
  }

  ModelStorage storage_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Model> model_;
  std::vector<std::vector<int32_t>> prompts_;
};

TEST_F(GeneratorTest, GreedyEqualsRunningEverythingAgain) {
  GenerateOptions options;
  options.max_new_tokens = 12;
  const auto texts = Generate(options);
  for (size_t i = 0; i < prompts_.size(); ++i) {
    EXPECT_EQ(texts[i].tokens, GenerateSlowly(prompts_[i], 12)) << "prompt " << i;
    EXPECT_FALSE(texts[i].stopped);
  }
}

TEST_F(GeneratorTest, TextsDoNotDependOnTheNumberOfRanks) {
  GenerateOptions options;
  options.max_new_tokens = 10;
  options.sampling.temperature = 1;
  options.seed = 11;
  const auto one = Generate(options);
  for (const int world_size : {2, 3, 4}) {
    const auto many = Generate(options, world_size);
    for (size_t i = 0; i < prompts_.size(); ++i) {
      EXPECT_EQ(one[i].tokens, many[i].tokens) << world_size << " ranks, prompt " << i;
    }
  }
  options.seed = 12;
  EXPECT_NE(Generate(options)[0].tokens, one[0].tokens);
}

TEST_F(GeneratorTest, WhatPromptsShareIsFedOnceAndChangesNoText) {
  const std::vector<int32_t> shots =
      tokenizer_->Encode("the cat sat in the hat, at noon; then it left");
  ASSERT_GE(shots.size(), 16U);
  for (std::vector<int32_t>& prompt : prompts_)
    prompt.insert(prompt.begin(), shots.begin(), shots.end());
  GenerateOptions options;
  options.max_new_tokens = 12;
  options.batch_prompts = 2;
  const auto run = [&](PrefixSharing sharing, int world_size) {
    GenerateResult of_root;
    RunThreadWorld(world_size, [&](World& world) {
      at::set_num_threads(1);
      const GenerateResult result =
          GenerateTexts(*model_, *tokenizer_, *world.control, prompts_, options, 1000, {}, sharing);
      if (world.is_root()) of_root = result;
    });
    return of_root;
  };
  const GenerateResult alone = run(PrefixSharing::kWithinDocument, 1);
  const GenerateResult shared = run(PrefixSharing::kAcrossDocuments, 1);
  const int64_t saved = (std::ssize(prompts_) - 1) * std::ssize(shots);
  EXPECT_EQ(alone.fed_tokens - shared.fed_tokens, saved);
  EXPECT_EQ(alone.trunk_seconds, 0);
  EXPECT_GT(shared.trunk_seconds, 0);
  const GenerateResult three_ranks = run(PrefixSharing::kAcrossDocuments, 3);
  EXPECT_EQ(three_ranks.fed_tokens, shared.fed_tokens) << "a trunk counts once, whoever feeds it";
  for (size_t i = 0; i < prompts_.size(); ++i) {
    EXPECT_EQ(shared.texts[i].tokens, GenerateSlowly(prompts_[i], 12)) << "prompt " << i;
    EXPECT_EQ(alone.texts[i].tokens, shared.texts[i].tokens) << "prompt " << i;
    EXPECT_EQ(three_ranks.texts[i].tokens, shared.texts[i].tokens) << "prompt " << i;
  }
}

TEST_F(GeneratorTest, AnEndTokenEndsATextAndStandsInItsTokens) {
  GenerateOptions options;
  options.max_new_tokens = 8;
  const std::vector<int32_t> free = Generate(options)[0].tokens;
  options.stop_ids = {free[3]};
  const GeneratedText text = Generate(options)[0];
  EXPECT_TRUE(text.stopped);
  const auto first = std::find(free.begin(), free.end(), free[3]);
  EXPECT_EQ(text.tokens, std::vector<int32_t>(free.begin(), first + 1));
}

// A random model writes mostly bytes that are no characters; this finds one that is.
TEST_F(GeneratorTest, AStopTextEndsATextAndIsCutOff) {
  GenerateOptions options;
  options.max_new_tokens = 24;
  int tried = 0;
  for (const uint64_t seed : {1, 2, 3, 4, 5, 6, 7, 8}) {
    options.until.clear();
    options.sampling.temperature = 1.5;
    options.seed = seed;
    const auto free = Generate(options);
    for (size_t i = 0; i < free.size(); ++i) {
      const auto letter = std::find_if(free[i].tokens.begin() + 1, free[i].tokens.end(),
                                       [](int32_t id) { return id < 94; });
      if (letter == free[i].tokens.end()) continue;
      const std::string stop = tokenizer_->Decode(std::span(&*letter, 1));
      options.until = {stop};
      const GeneratedText text = Generate(options)[i];
      EXPECT_TRUE(text.stopped) << "stop '" << stop << "'";
      EXPECT_LE(std::ssize(text.tokens), letter - free[i].tokens.begin() + 1);
      EXPECT_EQ(text.text, free[i].text.substr(0, free[i].text.find(stop)));
      ++tried;
      break;
    }
  }
  EXPECT_GE(tried, 4);
}

TEST_F(GeneratorTest, TextsEndWhereTheModelCannotSeeFurther) {
  GenerateOptions options;
  options.max_new_tokens = 100;
  options.max_length = std::ssize(prompts_[2]) + 3;
  EXPECT_EQ(Generate(options)[2].tokens.size(), 3U);
  options.max_length = std::ssize(prompts_[2]);
  EXPECT_THROW(Generate(options), Error);
}

}  // namespace
}  // namespace breakeven
