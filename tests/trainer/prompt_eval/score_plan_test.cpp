// Pure.
#include "trainer/prompt_eval/score_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace breakeven {
namespace {

using ::testing::ElementsAre;

DocumentRequests Document(std::vector<TokenRequest> requests) {
  DocumentRequests document;
  document.requests = std::move(requests);
  return document;
}

TEST(ScorePlanTest, ChoicesShareTheirPrompt) {
  const std::vector<DocumentRequests> documents = {
      Document({{{1, 2, 3, 10, 11}, 2}, {{1, 2, 3, 20}, 1}, {{1, 2, 3, 30, 31, 32}, 3}})};
  const ScorePlan plan = PlanScoring(documents, 100);
  ASSERT_EQ(plan.units.size(), 1U);
  EXPECT_EQ(plan.units[0].prefix_tokens, 3);
  // Behind the prompt: 10 | nothing | 30 31; last tokens are never fed.
  EXPECT_EQ(plan.units[0].fed_tokens, 3 + 1 + 0 + 2);
  EXPECT_THAT(plan.units[0].parts, ElementsAre(0, 1, 2));
}

TEST(ScorePlanTest, SharedTokensMayReachIntoTheContinuations) {
  const std::vector<DocumentRequests> documents = {
      Document({{{1, 2, 7, 7, 8}, 3}, {{1, 2, 7, 7, 9}, 3}})};
  const ScorePlan plan = PlanScoring(documents, 100);
  EXPECT_EQ(plan.units[0].prefix_tokens, 4);
  EXPECT_EQ(plan.units[0].fed_tokens, 4);
}

TEST(ScorePlanTest, AChoiceThatBeginsAnotherKeepsItsLastTokenUnfed) {
  const std::vector<DocumentRequests> documents = {Document({{{1, 2, 3}, 1}, {{1, 2, 3, 4}, 2}})};
  const ScorePlan plan = PlanScoring(documents, 100);
  EXPECT_EQ(plan.units[0].prefix_tokens, 2);
  EXPECT_EQ(plan.units[0].fed_tokens, 3);
}

TEST(ScorePlanTest, RequestsThatBeginDifferentlyStandAlone) {
  const std::vector<DocumentRequests> documents = {Document({{{1, 2, 3}, 1}, {{4, 2, 3}, 1}})};
  const ScorePlan plan = PlanScoring(documents, 100);
  ASSERT_EQ(plan.units.size(), 2U);
  EXPECT_EQ(plan.units[1].prefix_tokens, 2);
  EXPECT_THAT(plan.units[1].parts, ElementsAre(1));
}

std::vector<DocumentRequests> ManyDocuments(int64_t count) {
  std::vector<DocumentRequests> documents;
  for (int64_t i = 0; i < count; ++i) {
    std::vector<int32_t> tokens(2 + (i * 37) % 50);
    std::iota(tokens.begin(), tokens.end(), 0);
    documents.push_back(Document({{tokens, 1}}));
  }
  return documents;
}

TEST(ScorePlanTest, BatchesHoldEveryUnitOnceWithinTheBudgetLongestFirst) {
  const std::vector<DocumentRequests> documents = ManyDocuments(101);
  const ScorePlan plan = PlanScoring(documents, 64);
  std::vector<int64_t> seen;
  int64_t last = 1000;
  for (const ScoreBatch& batch : plan.batches) {
    EXPECT_LE(batch.fed_tokens, 64);
    for (int64_t unit : batch.units) {
      seen.push_back(plan.units[unit].document);
      EXPECT_LE(plan.units[unit].fed_tokens, last);
      last = plan.units[unit].fed_tokens;
    }
  }
  std::sort(seen.begin(), seen.end());
  std::vector<int64_t> all(101);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(seen, all);
}

TEST(ScorePlanTest, AUnitBeyondTheBudgetStandsAlone) {
  const ScorePlan plan = PlanScoring(ManyDocuments(10), 1);
  EXPECT_EQ(plan.batches.size(), 10U);
}

TEST(ScorePlanTest, DealsByCostAndLeavesRanksWithoutWorkWhenThereIsTooLittle) {
  std::vector<ScoreBatch> batches(3);
  batches[0].cost = 2;
  batches[1].cost = 5;
  batches[2].cost = 2.5;
  EXPECT_THAT(DealBatches(batches, 2), ElementsAre(1, 0, 1));
  EXPECT_THAT(DealBatches(batches, 5), ElementsAre(2, 0, 1));
  EXPECT_THAT(DealBatches({}, 2), ElementsAre());
}

}  // namespace
}  // namespace breakeven
