// Pure.
#include "trainer/study/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/support/dice.h"
#include "trainer/study/document_interval.h"

namespace breakeven {
namespace {

using Column = std::vector<double>;
const std::vector<size_t> kArm = {0};
const std::vector<size_t> kBaseline = {1};

VerdictConfig Config(int64_t resamples = 500) {
  VerdictConfig config;
  config.resamples = resamples;
  return config;
}

// An arm with these counts against a baseline, beside each other.
ScoreTable Hits(int64_t both, int64_t won, int64_t lost, int64_t neither) {
  ScoreTable table;
  table.metric = "acc";
  table.columns.resize(2);
  const auto add = [&](int64_t count, double arm, double baseline) {
    for (int64_t i = 0; i < count; ++i) {
      table.columns[0].push_back(arm);
      table.columns[1].push_back(baseline);
    }
  };
  add(both, 1, 1);
  add(won, 1, 0);
  add(lost, 0, 1);
  add(neither, 0, 0);
  return table;
}

const NamedInterval* Find(const Comparison& comparison, IntervalMethod method) {
  for (const NamedInterval& other : comparison.others) {
    if (other.method == method) return &other;
  }
  return nullptr;
}

TEST(ComparisonTest, HitsAreDecidedByTheScoreIntervalAndTheExactTest) {
  const Comparison result = ScoreComparer(Hits(100, 25, 10, 85), Config()).Compare(kArm, kBaseline);
  EXPECT_EQ(result.verdict, Verdict::kBetter);
  EXPECT_EQ(result.deciding.method, IntervalMethod::kScore);
  const Interval tango = TangoInterval(25, 10, 220, 0.95);
  EXPECT_EQ(result.deciding.interval.low, tango.low);
  EXPECT_EQ(result.deciding.interval.high, tango.high);
  EXPECT_NEAR(result.p_value, 0.0167, 5e-5);
  EXPECT_EQ(result.p_value, result.adjusted_p_value);
  EXPECT_DOUBLE_EQ(result.difference, 15.0 / 220);
  EXPECT_DOUBLE_EQ(result.arm_score, 125.0 / 220);
  EXPECT_EQ(result.num_differing, 35);
  ASSERT_NE(Find(result, IntervalMethod::kBca), nullptr);
  EXPECT_GT(Find(result, IntervalMethod::kBca)->interval.low, 0);
  EXPECT_EQ(result.num_groups, 0);
  EXPECT_TRUE(result.cautions.empty());
}

TEST(ComparisonTest, TheArmsChangedIsWorse) {
  const Comparison result = ScoreComparer(Hits(100, 25, 10, 85), Config()).Compare(kBaseline, kArm);
  EXPECT_EQ(result.verdict, Verdict::kWorse);
  EXPECT_LT(result.deciding.interval.high, 0);
}

TEST(ComparisonTest, TheIntervalAloneIsNotEnough) {
  // Five won, none lost: the score interval excludes 0, McNemar's p is 1/16.
  const Comparison result = ScoreComparer(Hits(40, 5, 0, 40), Config()).Compare(kArm, kBaseline);
  EXPECT_GT(result.deciding.interval.low, 0);
  EXPECT_DOUBLE_EQ(result.p_value, 0.0625);
  EXPECT_EQ(result.verdict, Verdict::kCannotTell);
}

TEST(ComparisonTest, CannotTellComesWithWhatCouldHaveBeenSeen) {
  const Comparison result = ScoreComparer(Hits(80, 22, 18, 80), Config()).Compare(kArm, kBaseline);
  EXPECT_EQ(result.verdict, Verdict::kCannotTell);
  EXPECT_NEAR(result.minimum_detectable_effect, 2.8 * std::sqrt(0.2 / 200), 0.001);
  // 2 points at ψ = 0.2: the methods page says 3,923 documents.
  ASSERT_TRUE(result.documents_to_settle.has_value());
  EXPECT_NEAR(static_cast<double>(*result.documents_to_settle), 3923, 1);
  EXPECT_FALSE(result.replicates_to_settle.has_value());
  EXPECT_FALSE(result.equivalent);
}

TEST(ComparisonTest, EqualArms) {
  const Comparison result = ScoreComparer(Hits(50, 0, 0, 30), Config()).Compare(kArm, kBaseline);
  EXPECT_EQ(result.verdict, Verdict::kCannotTell);
  EXPECT_EQ(result.p_value, 1);
  EXPECT_FALSE(result.documents_to_settle.has_value()) << "no number of documents shows nothing";
  EXPECT_GT(result.minimum_detectable_effect, 0.02) << "80 documents can't promise less";
}

TEST(ComparisonTest, EquivalentWhereManyDocumentsAgree) {
  VerdictConfig config = Config(0);
  EXPECT_TRUE(ScoreComparer(Hits(5000, 30, 30, 4940), config).Compare(kArm, kBaseline).equivalent);
  config.equivalence_margin = 0.001;
  EXPECT_FALSE(ScoreComparer(Hits(5000, 30, 30, 4940), config).Compare(kArm, kBaseline).equivalent);
}

TEST(ComparisonTest, GroupsCountInsteadOfDocuments) {
  ScoreTable table = Hits(100, 25, 10, 85);
  // Every group of five documents alike: the same shares from 44 groups.
  for (size_t i = 0; i < table.num_documents(); ++i) table.groups.push_back(i / 5);
  const Comparison result = ScoreComparer(table, Config()).Compare(kArm, kBaseline);
  EXPECT_EQ(result.deciding.method, IntervalMethod::kScaledScore);
  EXPECT_EQ(result.num_groups, 44);
  EXPECT_NEAR(result.design_effect, 5, 0.3);
  EXPECT_EQ(result.verdict, Verdict::kCannotTell) << "5 groups won, 2 lost";
  EXPECT_GT(result.p_value, 0.2);
  EXPECT_NE(Find(result, IntervalMethod::kStudent), nullptr);
}

TEST(ComparisonTest, TheInvertedPValueAgreesWithItsInterval) {
  ScoreTable table = Hits(60, 14, 4, 42);
  for (size_t i = 0; i < table.num_documents(); ++i) table.groups.push_back(i / 2);
  VerdictConfig config = Config(0);
  const double p = ScoreComparer(table, config).Compare(kArm, kBaseline).p_value;
  config.confidence = 1 - 1.01 * p;
  EXPECT_GT(ScoreComparer(table, config).Compare(kArm, kBaseline).deciding.interval.low, 0) << p;
  config.confidence = 1 - 0.99 * p;
  EXPECT_LT(ScoreComparer(table, config).Compare(kArm, kBaseline).deciding.interval.low, 0) << p;
}

ScoreTable Fractions(size_t documents, double effect) {
  Dice dice(4);
  ScoreTable table;
  table.columns.resize(2);
  for (size_t i = 0; i < documents; ++i) {
    const double base = 0.8 * dice.Uniform();
    table.columns[0].push_back(std::min(1.0, base + effect + 0.1 * (dice.Uniform() - 0.5)));
    table.columns[1].push_back(base);
  }
  return table;
}

TEST(ComparisonTest, ScoresBetweenUseTheBootstrapOnceItCoversWell) {
  const Comparison many = ScoreComparer(Fractions(250, 0.1), Config()).Compare(kArm, kBaseline);
  EXPECT_EQ(many.deciding.method, IntervalMethod::kBca);
  EXPECT_EQ(many.verdict, Verdict::kBetter);
  EXPECT_FALSE(many.counts.has_value());
  const Comparison few = ScoreComparer(Fractions(60, 0.1), Config()).Compare(kArm, kBaseline);
  EXPECT_EQ(few.deciding.method, IntervalMethod::kScaledScore);
  EXPECT_EQ(few.verdict, Verdict::kBetter);
}

TEST(ComparisonTest, LogLikelihoodsAreWeightedByTheirSizes) {
  ScoreTable table;
  table.metric = "word_perplexity";
  table.unit_interval = false;
  table.sizes = {10, 1, 5, 4};
  table.columns = {{-20, -3, -9, -8}, {-30, -3.5, -14, -11}};
  const Comparison result = ScoreComparer(table, Config(0)).Compare(kArm, kBaseline);
  EXPECT_DOUBLE_EQ(result.arm_score, -2);
  EXPECT_DOUBLE_EQ(result.difference, (10 + 0.5 + 5 + 3) / 20);
  EXPECT_EQ(result.deciding.method, IntervalMethod::kStudent);
  EXPECT_THAT(result.cautions, testing::ElementsAre(testing::HasSubstr("Only 4 test documents")));
}

// Seeds of a recipe: hits of 200 documents, the seeds' accuracies differ.
ScoreTable Seeds(const std::vector<double>& accuracies, double baseline) {
  Dice dice(8);
  ScoreTable table;
  for (int i = 0; i < 200; ++i) {
    const double difficulty = dice.Uniform();
    size_t column = 0;
    for (double accuracy : accuracies) {
      if (i == 0) table.columns.emplace_back();
      table.columns[column++].push_back(difficulty < accuracy ? 1 : 0);
    }
    if (i == 0) table.columns.emplace_back();
    table.columns[column].push_back(difficulty < baseline ? 1 : 0);
  }
  return table;
}

TEST(ComparisonTest, SeedsThatAgreeProveARecipeAndSeedsThatDoNotDoNot) {
  const std::vector<size_t> arm = {0, 1, 2};
  const std::vector<size_t> baseline = {3};
  const Comparison agree =
      ScoreComparer(Seeds({0.80, 0.80, 0.81}, 0.6), Config()).Compare(arm, baseline);
  EXPECT_EQ(agree.verdict, Verdict::kBetter);
  EXPECT_EQ(agree.deciding.method, IntervalMethod::kJoined);
  EXPECT_EQ(agree.num_replicates, 3);
  const Comparison differ =
      ScoreComparer(Seeds({0.61, 0.80, 0.99}, 0.6), Config()).Compare(arm, baseline);
  EXPECT_NEAR(differ.difference, agree.difference, 0.02);
  EXPECT_EQ(differ.verdict, Verdict::kCannotTell);
  EXPECT_FALSE(differ.documents_to_settle.has_value()) << "documents don't make seeds agree";
  EXPECT_TRUE(differ.replicates_to_settle.has_value());
  EXPECT_GT(differ.minimum_detectable_effect, agree.minimum_detectable_effect);
  for (IntervalMethod method : {IntervalMethod::kReplicates, IntervalMethod::kHierarchical}) {
    ASSERT_NE(Find(differ, method), nullptr);
    EXPECT_TRUE(Find(differ, method)->interval.Contains(differ.difference));
  }
}

TEST(ComparisonTest, AFamilyIsHeldToHolmsPValues) {
  // Five arms with the same p ≈ 0.04: none survives five tests, one alone would.
  ScoreTable table = Hits(100, 17, 6, 97);
  const Column arm = table.columns[0];
  for (int copy = 0; copy < 4; ++copy) table.columns.push_back(arm);
  const ScoreComparer comparer(table, Config(2000));
  ASSERT_EQ(comparer.Compare(kArm, kBaseline).verdict, Verdict::kBetter);
  const std::vector<std::vector<size_t>> arms = {{0}, {2}, {3}, {4}, {5}};
  const std::vector<Comparison> family = comparer.CompareFamily(arms, kBaseline);
  for (const Comparison& member : family) {
    EXPECT_EQ(member.verdict, Verdict::kCannotTell);
    EXPECT_NEAR(member.adjusted_p_value, 5 * member.p_value, 1e-12);
    // The five are one: simultaneous intervals know, and stay near the single one.
    ASSERT_TRUE(member.simultaneous.has_value());
    EXPECT_NEAR(member.simultaneous->low, member.deciding.interval.low, 0.01);
    EXPECT_LE(member.simultaneous->low, member.deciding.interval.low);
  }
}

TEST(ComparisonTest, OneDocumentOrOneGroupTellsNothing) {
  const Comparison one = ScoreComparer(Hits(0, 1, 0, 0), Config()).Compare(kArm, kBaseline);
  EXPECT_EQ(one.verdict, Verdict::kCannotTell);
  ScoreTable grouped = Hits(10, 30, 0, 10);
  grouped.groups.assign(grouped.num_documents(), 4);
  const ScoreComparer comparer(grouped, Config());
  const Comparison group = comparer.Compare(kArm, kBaseline);
  EXPECT_EQ(group.verdict, Verdict::kCannotTell);
  EXPECT_EQ(group.deciding.interval.low, -1);
  EXPECT_EQ(group.minimum_detectable_effect, 1);
  EXPECT_THAT(group.cautions, testing::Contains(testing::HasSubstr("only 1 groups")));
  EXPECT_LT(comparer.Score(kArm).interval.low, 0.3) << "one group is one document";
  ScoreTable nats = grouped;
  nats.unit_interval = false;
  nats.sizes.assign(nats.num_documents(), 3);
  EXPECT_EQ(ScoreComparer(nats, Config()).Compare(kArm, kBaseline).verdict, Verdict::kCannotTell);
}

TEST(ComparisonTest, ABootstrapsPValueEndsAtItsResamples) {
  const Comparison sure = ScoreComparer(Fractions(250, 0.15), Config(500)).Compare(kArm, kBaseline);
  ASSERT_EQ(sure.deciding.method, IntervalMethod::kBca);
  EXPECT_DOUBLE_EQ(sure.p_value, 1.0 / 500);
}

TEST(ComparisonTest, SameInputSameBits) {
  const auto run = [] {
    const Comparison c = ScoreComparer(Fractions(230, 0.02), Config()).Compare(kArm, kBaseline);
    return std::vector<double>{c.deciding.interval.low, c.deciding.interval.high, c.p_value,
                               c.minimum_detectable_effect};
  };
  EXPECT_EQ(run(), run());
}

TEST(ArmScoreTest, OneArmAlone) {
  const ScoreComparer comparer(Hits(100, 25, 10, 85), Config());
  const Interval wilson = WilsonInterval(125, 220, 0.95);
  const ArmScore score = comparer.Score(kArm);
  EXPECT_DOUBLE_EQ(score.score, 125.0 / 220);
  EXPECT_DOUBLE_EQ(score.interval.low, wilson.low);
  EXPECT_DOUBLE_EQ(score.interval.high, wilson.high);
  // Groups of five alike: a fifth of the documents.
  ScoreTable grouped = Hits(100, 25, 10, 85);
  for (size_t i = 0; i < 220; ++i) grouped.groups.push_back(i / 5);
  const ArmScore wide = ScoreComparer(grouped, Config()).Score(kArm);
  const Interval fifth = WilsonInterval(25, 44, 0.95);
  EXPECT_NEAR(wide.interval.low, fifth.low, 0.01);
  EXPECT_NEAR(wide.interval.high, fifth.high, 0.01);
}

TEST(ArmScoreTest, FewSeedsReachNoFurtherThanScoresDo) {
  ScoreTable table = Hits(10, 20, 0, 10);
  table.columns.push_back(table.columns[1]);
  const std::vector<size_t> seeds = {0, 2};  // 0.75 and 0.25: Student's t over two says ± 3.2
  const ScoreComparer comparer(table, Config());
  const ArmScore score = comparer.Score(seeds);
  EXPECT_EQ(score.interval.low, 0);
  EXPECT_EQ(score.interval.high, 1);
  const Comparison result = comparer.Compare(seeds, kBaseline);
  EXPECT_EQ(result.deciding.interval.low, -1);
  EXPECT_EQ(result.deciding.interval.high, 1);
  ASSERT_NE(Find(result, IntervalMethod::kReplicates), nullptr);
  EXPECT_EQ(Find(result, IntervalMethod::kReplicates)->interval.high, 1);
  EXPECT_EQ(result.minimum_detectable_effect, 1);
  EXPECT_EQ(result.verdict, Verdict::kCannotTell);
}

TEST(ArmScoreTest, APerfectArmIsNotCertain) {
  const ArmScore score = ScoreComparer(Hits(40, 0, 0, 0), Config(0)).Score(kArm);
  EXPECT_EQ(score.score, 1);
  EXPECT_LT(score.interval.low, 0.95);
  EXPECT_NEAR(score.interval.high, 1, 1e-12);
}

}  // namespace
}  // namespace breakeven
