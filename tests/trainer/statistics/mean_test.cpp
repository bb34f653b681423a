// Pure.
#include "trainer/statistics/mean.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace breakeven {
namespace {

TEST(MeanTest, EqualsTheHarnessOnHits) {
  // 3 of 5: s² = 5·0.6·0.4/4 = 0.3, standard error √(0.3/5).
  const Estimate estimate = MeanAndStandardError(std::vector<double>{1, 0, 1, 1, 0});
  EXPECT_DOUBLE_EQ(estimate.value, 0.6);
  EXPECT_DOUBLE_EQ(estimate.standard_error, std::sqrt(0.3 / 5));
}

TEST(MeanTest, FewValuesHaveNoStandardError) {
  EXPECT_DOUBLE_EQ(MeanAndStandardError(std::vector<double>{2.5}).value, 2.5);
  EXPECT_TRUE(std::isnan(MeanAndStandardError(std::vector<double>{2.5}).standard_error));
  EXPECT_TRUE(std::isnan(MeanAndStandardError({}).value));
}

TEST(MeanTest, RatioWithEqualSizesIsTheMean) {
  const std::vector<double> values = {3, 5, 9, 1};
  const std::vector<double> twos(4, 2.0);
  const Estimate ratio = RatioAndStandardError(values, twos);
  const Estimate mean = MeanAndStandardError(values);
  EXPECT_DOUBLE_EQ(ratio.value, mean.value / 2);
  EXPECT_NEAR(ratio.standard_error, mean.standard_error / 2, 1e-15);
}

TEST(MeanTest, RatioIsSumOverSum) {
  const Estimate ratio =
      RatioAndStandardError(std::vector<double>{10, 1}, std::vector<double>{100, 1});
  EXPECT_DOUBLE_EQ(ratio.value, 11.0 / 101);
  // Residuals 10 − 1100/101 and 1 − 11/101 are ∓90/101.
  EXPECT_NEAR(ratio.standard_error, std::sqrt(2.0 * 2 * std::pow(90.0 / 101, 2)) / 101, 1e-15);
}

}  // namespace
}  // namespace breakeven
