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
    std::iota(tokens.begin(), tokens.end(), static_cast<int32_t>(1000 * i));  // nothing shared
    documents.push_back(Document({{tokens, 1}}));
  }
  return documents;
}

// `count` questions of 10 tokens with two choices behind `shots`.
std::vector<DocumentRequests> BehindShots(const std::vector<int32_t>& shots, int32_t count) {
  std::vector<DocumentRequests> documents;
  for (int32_t i = 0; i < count; ++i) {
    std::vector<int32_t> prompt = shots;
    for (int32_t t = 0; t < 10; ++t) prompt.push_back(1000 + 10 * i + t);
    DocumentRequests document;
    for (int32_t choice : {1, 2}) {
      document.requests.push_back({prompt, 2});
      for (int32_t t : {choice, 3}) document.requests.back().tokens.push_back(t);
    }
    documents.push_back(document);
  }
  return documents;
}

std::vector<int32_t> Shots(int32_t first, int64_t count) {
  std::vector<int32_t> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

TEST(ScorePlanTest, WhatAllPromptsBeginWithIsATrunk) {
  const std::vector<int32_t> shots = Shots(0, 50);
  const ScorePlan plan = PlanScoring(BehindShots(shots, 5), 30);
  ASSERT_EQ(plan.trunks.size(), 1U);
  EXPECT_EQ(plan.trunks[0], shots);
  for (const ScoreUnit& unit : plan.units) {
    EXPECT_EQ(unit.trunk, 0);
    EXPECT_EQ(unit.prefix_tokens, 60);
    EXPECT_EQ(unit.fed_tokens, 10 + 1 + 1);
  }
  EXPECT_EQ(plan.batches.size(), 3U);  // the trunk is not in a batch's budget
}

TEST(ScorePlanTest, WithoutSharingAcrossDocumentsEachFeedsItsWholePrompt) {
  const std::vector<DocumentRequests> documents = BehindShots(Shots(0, 50), 5);
  const ScorePlan plan = PlanScoring(documents, 30, PrefixSharing::kWithinDocument);
  EXPECT_TRUE(plan.trunks.empty());
  for (const ScoreUnit& unit : plan.units) EXPECT_EQ(unit.fed_tokens, 60 + 1 + 1);
}

TEST(ScorePlanTest, AnotherShotSetHasATrunkOfItsOwnAndABatchHasOneTrunk) {
  std::vector<DocumentRequests> documents = BehindShots(Shots(0, 50), 4);
  for (DocumentRequests& document : BehindShots(Shots(100, 40), 3)) documents.push_back(document);
  const ScorePlan plan = PlanScoring(documents, 1000);
  ASSERT_EQ(plan.trunks.size(), 2U);
  EXPECT_THAT(plan.trunks[0].size(), 50);
  EXPECT_THAT(plan.trunks[1].size(), 40);
  ASSERT_EQ(plan.batches.size(), 2U);
  EXPECT_EQ(plan.batches[0].units.size(), 4U);
  EXPECT_EQ(plan.batches[1].units.size(), 3U);
}

TEST(ScorePlanTest, OneDocumentWithOtherShotsShortensNoTrunk) {
  std::vector<DocumentRequests> documents = BehindShots(Shots(0, 50), 6);
  std::vector<int32_t> other = Shots(0, 20);
  for (int32_t token : Shots(500, 30)) other.push_back(token);
  documents.push_back(BehindShots(other, 1)[0]);
  const ScorePlan plan = PlanScoring(documents, 1000);
  ASSERT_EQ(plan.trunks.size(), 1U);
  EXPECT_EQ(plan.trunks[0].size(), 50U);
  EXPECT_EQ(plan.units[6].trunk, -1);
}

TEST(ScorePlanTest, ATrunkEndsBeforeTheRowOfTheFirstScoredToken) {
  // Texts whose first 40 tokens are equal, scored from the second token on.
  std::vector<DocumentRequests> documents;
  for (int32_t i = 0; i < 4; ++i) {
    std::vector<int32_t> tokens = Shots(0, 40);
    tokens.push_back(100 + i);
    documents.push_back(Document({{tokens, 40}}));
  }
  EXPECT_TRUE(PlanScoring(documents, 1000).trunks.empty());
  // Equal documents: each still feeds a token of its own.
  documents.assign(4, Document({{Shots(0, 40), 1}}));
  const ScorePlan plan = PlanScoring(documents, 1000);
  ASSERT_EQ(plan.trunks.size(), 1U);
  EXPECT_EQ(plan.trunks[0].size(), 38U);
  EXPECT_EQ(plan.units[0].fed_tokens, 1);
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

TEST(ScorePlanTest, AShortListIsDealtOutEvenly) {
  const ScorePlan plan = PlanScoring(ManyDocuments(250), 2048);  // 6,375 tokens
  EXPECT_EQ(plan.batches.size(), 24U);
  double all = 0;
  for (const ScoreBatch& batch : plan.batches) all += batch.cost;
  for (const int world_size : {2, 3, 4, 6, 8, 12}) {
    std::vector<double> load(world_size, 0.0);
    const std::vector<int> rank_of = DealBatches(plan.batches, world_size);
    for (size_t i = 0; i < rank_of.size(); ++i) load[rank_of[i]] += plan.batches[i].cost;
    EXPECT_LT(*std::max_element(load.begin(), load.end()) * world_size / all, 1.1) << world_size;
  }
  // Shorter ones in fewer, none so small that its products are slow; long ones as they are asked for.
  EXPECT_EQ(PlanScoring(ManyDocuments(60), 2048).batches.size(), 6U);  // 1,550 tokens
  EXPECT_EQ(PlanScoring(ManyDocuments(15), 2048).batches.size(), 1U);
  EXPECT_GE(PlanScoring(ManyDocuments(250), 128).batches.size(), 6375U / 128);
}

TEST(ScorePlanTest, SeveralTrunksAreNotCutSoThatNotEveryRankFeedsThem) {
  std::vector<DocumentRequests> documents = BehindShots(Shots(0, 50), 40);
  for (DocumentRequests& document : BehindShots(Shots(100, 40), 40)) documents.push_back(document);
  const ScorePlan plan = PlanScoring(documents, 2048);
  ASSERT_EQ(plan.trunks.size(), 2U);
  EXPECT_EQ(plan.batches.size(), 2U);
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
