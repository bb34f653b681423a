// Pure.
#include "trainer/statistics/units.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "trainer/statistics/mean.h"
#include "trainer/statistics/replicates.h"
#include "trainer/statistics/scaled_score.h"

namespace breakeven {
namespace {

using Columns = std::vector<std::vector<double>>;

TEST(UnitsTest, GroupsStandInOrderOfTheirFirstDocument) {
  const Units units =
      MakeUnits(Columns{{1, 2, 3, 4}, {10, 20, 30, 40}}, {}, std::vector<uint64_t>{7, 3, 7, 9});
  EXPECT_EQ(units.sizes, (std::vector<double>{2, 1, 1}));
  EXPECT_EQ(units.sums, (std::vector<double>{4, 40, 2, 20, 4, 40}));
  EXPECT_EQ(Means(units), (std::vector<double>{2.5, 25}));
}

TEST(UnitsTest, VarianceOfADifferenceFollowsFromTheCovariances) {
  const Units units = MakeUnits(Columns{{1, 0, 1, 1, 0}, {0, 0, 1, 0, 1}});
  const std::vector<double> c = MeanCovariance(units, SmallSample::kPlain);
  const MeanEstimate difference =
      EstimateMean(Combine(units, std::vector<double>{1, -1}), SmallSample::kPlain);
  EXPECT_NEAR(std::pow(difference.standard_error, 2), c[0] + c[3] - 2 * c[1], 1e-16);
}

TEST(UnitsTest, WeightsGiveTheRatioEstimator) {
  const std::vector<double> numerators = {3, 10, 4};
  const std::vector<double> sizes = {2, 5, 3};
  const MeanEstimate ours =
      EstimateMean(MakeUnits(Columns{numerators}, sizes), SmallSample::kPlain);
  const Estimate ratio = RatioAndStandardError(numerators, sizes);
  EXPECT_DOUBLE_EQ(ours.value, ratio.value);
  EXPECT_NEAR(ours.standard_error, ratio.standard_error, 1e-15);
}

TEST(UnitsTest, DegreesAreGroupsLessOneWhenGroupsAreEqualAndFewerWhenOneIsLarge) {
  EXPECT_NEAR(LeverageDegrees({1, {0, 0, 0, 0}, {3, 3, 3, 3}}), 3, 1e-12);
  EXPECT_LT(LeverageDegrees({1, {0, 0, 0, 0}, {9, 1, 1, 1}}), 2);
}

TEST(UnitsTest, OneUnitSaysNothing) {
  const Units one = MakeUnits(Columns{{1, 0}}, {}, std::vector<uint64_t>{4, 4});
  const MeanEstimate estimate = EstimateMean(one, SmallSample::kLeverage);
  EXPECT_TRUE(std::isnan(StudentInterval(estimate, 0.95).low));
  EXPECT_TRUE(std::isnan(StudentPValue(estimate)));
}

TEST(UnitsTest, DesignEffectOfDuplicatesIsTheirNumber) {
  std::vector<double> values;
  std::vector<uint64_t> groups;
  for (uint64_t g = 0; g < 50; ++g) {
    for (int copy = 0; copy < 3; ++copy) {
      values.push_back(g % 4 == 0 ? 1 : 0);
      groups.push_back(g);
    }
  }
  // Thrice 149/150 ÷ 49/50 of the small-sample corrections.
  EXPECT_NEAR(DesignEffect(values, {}, groups), 3 * (149.0 / 50) / (147.0 / 50), 0.03);
}

TEST(ScaledScoreTest, IndependentHitsAreNearlyTangosAndGroupsAlikeAreFewer) {
  std::vector<double> differences(300, 0);
  for (size_t i = 0; i < 60; ++i) differences[i * 5] = i % 3 == 0 ? -1 : 1;
  const ScaledScore independent = SummariseDifferences(differences, {});
  EXPECT_NEAR(independent.ratio, 300.0 / 299, 1e-12);
  EXPECT_NEAR(independent.bound, 1, 1e-12);
  // Each document three times in a group: as wide as without the copies.
  std::vector<double> thrice;
  std::vector<uint64_t> groups;
  for (size_t i = 0; i < differences.size(); ++i) {
    thrice.insert(thrice.end(), 3, differences[i]);
    groups.insert(groups.end(), 3, i);
  }
  const ScaledScore copies = SummariseDifferences(thrice, groups);
  EXPECT_NEAR(copies.bound, 3, 1e-12);
  const Interval one = ScaledScoreInterval(independent, 0.95);
  const Interval same = ScaledScoreInterval(copies, 0.95);
  EXPECT_NEAR(one.low, same.low, 1e-3);
  EXPECT_NEAR(one.high, same.high, 1e-3);
}

TEST(ScaledScoreTest, NoDifferenceAtAllLeavesRoomForOne) {
  const std::vector<double> none(40, 0.0);
  std::vector<uint64_t> groups;
  for (uint64_t i = 0; i < 40; ++i) groups.push_back(i / 4);
  const Interval alone = ScaledScoreInterval(SummariseDifferences(none, {}), 0.95);
  const Interval grouped = ScaledScoreInterval(SummariseDifferences(none, groups), 0.95);
  EXPECT_NEAR(alone.high, 3.84 / 43.84, 0.01);
  EXPECT_GT(grouped.high, 2 * alone.high) << "ten groups are ten documents at worst";
  const Interval one =
      ScaledScoreInterval(SummariseDifferences(none, std::vector<uint64_t>(40, 1)), 0.95);
  EXPECT_EQ(one.low, -1) << "a single group says nothing";
  EXPECT_EQ(one.high, 1);
}

TEST(ReplicatesTest, WithoutReplicatesTheDocumentsDecide) {
  const Columns columns = {{1, 0, 1, 1}, {0, 0, 1, 0}};
  const std::vector<size_t> first = {0};
  const std::vector<size_t> second = {1};
  const RecipeEstimate estimate = CompareRecipes(MakeUnits(columns), first, second);
  EXPECT_DOUBLE_EQ(estimate.value, 0.5);
  EXPECT_EQ(estimate.replicate_variance(), 0);
  EXPECT_NEAR(estimate.document_variance, std::pow(estimate.documents.standard_error, 2), 1e-15);
  const Interval joined = JoinReplicates(estimate, {0.1, 0.7}, 0.95);
  EXPECT_EQ(joined.low, 0.1);
  EXPECT_EQ(joined.high, 0.7);
  EXPECT_TRUE(std::isnan(ReplicateInterval(estimate, 0.95).low));
}

TEST(ReplicatesTest, SeedsThatDifferWidenAndKeepTheIntervalAskew) {
  // Three seeds with scores 0.4, 0.5, 0.6 on every document: documents cause nothing.
  const Columns columns = {{0.4, 0.4}, {0.5, 0.5}, {0.6, 0.6}};
  const std::vector<size_t> all = {0, 1, 2};
  const RecipeEstimate estimate = CompareRecipes(MakeUnits(columns), all, {});
  EXPECT_NEAR(estimate.document_variance, 0, 1e-15);
  // t with 2 degrees at p is (2p − 1) / √(2p (1 − p)).
  const double half = 0.95 / std::sqrt(2 * 0.975 * 0.025) * 0.1 / std::sqrt(3.0);
  EXPECT_NEAR(ReplicateInterval(estimate, 0.95).low, 0.5 - half, 1e-12);
  const Interval joined = JoinReplicates(estimate, {0.45, 0.65}, 0.95);
  EXPECT_NEAR(joined.low, 0.5 - std::hypot(0.05, half), 1e-12);
  EXPECT_NEAR(joined.high, 0.5 + std::hypot(0.15, half), 1e-12);
}

}  // namespace
}  // namespace breakeven
