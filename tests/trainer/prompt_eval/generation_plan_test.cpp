// Pure.
#include "trainer/prompt_eval/generation_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

namespace breakeven {
namespace {

using ::testing::ElementsAre;

std::vector<int32_t> Shots(int64_t count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

// `count` prompts of `own` tokens each that begin with `shots` and share nothing else.
std::vector<std::vector<int32_t>> Behind(const std::vector<int32_t>& shots, int32_t count,
                                         int32_t own) {
  std::vector<std::vector<int32_t>> prompts;
  for (int32_t i = 0; i < count; ++i) {
    prompts.push_back(shots);
    for (int32_t t = 0; t < own; ++t) prompts.back().push_back(1000 * (i + 1) + t);
  }
  return prompts;
}

const GenerationLimits kLimits{.batch_prompts = 4, .batch_tokens = 100, .max_new_tokens = 8};

TEST(GenerationPlanTest, WhatAllPromptsBeginWithIsFedOnce) {
  const auto prompts = Behind(Shots(40), 6, 5);
  const BatchPlan plan = PlanGeneration(prompts, kLimits, PrefixSharing::kAcrossDocuments);
  ASSERT_EQ(plan.trunks.size(), 1U);
  EXPECT_EQ(plan.trunks[0], Shots(40));
  ASSERT_EQ(plan.batches.size(), 2U);
  EXPECT_THAT(plan.batches[0].units, ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(plan.batches[0].fed_tokens, 20) << "the trunk is not in a batch's budget";
  EXPECT_EQ(FedTokens(plan), 40 + 6 * 5);
}

TEST(GenerationPlanTest, AServerWithoutAPrefixCacheFeedsEveryPromptWhole) {
  const auto prompts = Behind(Shots(40), 6, 5);
  const BatchPlan plan = PlanGeneration(prompts, kLimits, PrefixSharing::kWithinDocument);
  EXPECT_TRUE(plan.trunks.empty());
  EXPECT_EQ(plan.batches.size(), 3U) << "two of 45 tokens fill a batch";
  EXPECT_EQ(FedTokens(plan), 6 * 45);
}

TEST(GenerationPlanTest, EqualPromptsKeepTheirLastToken) {
  const std::vector<std::vector<int32_t>> prompts(4, Shots(30));
  const BatchPlan plan = PlanGeneration(prompts, kLimits, PrefixSharing::kAcrossDocuments);
  ASSERT_EQ(plan.trunks.size(), 1U);
  EXPECT_EQ(plan.trunks[0].size(), 29U) << "a model needs a token to go on from";
  EXPECT_EQ(plan.batches[0].fed_tokens, 4);
}

TEST(GenerationPlanTest, ABatchHasOneTrunkAndThoseWithoutComeFirst) {
  auto prompts = Behind(Shots(40), 3, 5);
  prompts.push_back({7, 8, 9});
  const BatchPlan plan = PlanGeneration(prompts, kLimits, PrefixSharing::kAcrossDocuments);
  ASSERT_EQ(plan.batches.size(), 2U);
  EXPECT_EQ(plan.batches[0].trunk, -1);
  EXPECT_THAT(plan.batches[0].units, ElementsAre(3));
  EXPECT_EQ(plan.batches[1].trunk, 0);
}

TEST(GenerationPlanTest, LongestFirstAndNoPromptIsAPromptToo) {
  const std::vector<std::vector<int32_t>> prompts = {{1, 2}, {3, 4, 5}, {}};
  const BatchPlan plan = PlanGeneration(prompts, kLimits, PrefixSharing::kAcrossDocuments);
  ASSERT_EQ(plan.batches.size(), 1U);
  EXPECT_THAT(plan.batches[0].units, ElementsAre(1, 0, 2));
}

}  // namespace
}  // namespace breakeven
