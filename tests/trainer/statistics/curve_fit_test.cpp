// Pure.
#include "trainer/statistics/curve_fit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "trainer/statistics/calibration.h"
#include "trainer/statistics/ratio.h"

namespace breakeven {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(CurveFitTest, IsotonicFitPoolsWhatFalls) {
  EXPECT_EQ(IsotonicFit(std::vector<double>{1, 3, 2, 2, 5}),
            (std::vector<double>{1, 7.0 / 3, 7.0 / 3, 7.0 / 3, 5}));
  EXPECT_EQ(IsotonicFit(std::vector<double>{3, 2}, std::vector<double>{3, 1}),
            (std::vector<double>{2.75, 2.75}));
  EXPECT_TRUE(IsotonicFit({}).empty());
}

TEST(CurveFitTest, ThreeSizesArePassedThrough) {
  const std::vector<double> sizes = {50, 200, 800};
  const std::vector<double> errors = {0.40, 0.30, 0.25};
  const auto law = FitPowerLaw(sizes, errors);
  ASSERT_TRUE(law.has_value());
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(law->At(sizes[i]), errors[i], 1e-7);
  EXPECT_NEAR(law->floor, 0.20, 1e-5) << "steps halve: 0.10, 0.05, …";
}

TEST(CurveFitTest, ErrorsThatRiseFitAFlatLine) {
  const auto law =
      FitPowerLaw(std::vector<double>{50, 200, 800}, std::vector<double>{0.2, 0.3, 0.4});
  ASSERT_TRUE(law.has_value());
  EXPECT_NEAR(law->At(50), 0.3, 1e-6);
  EXPECT_NEAR(law->At(800), 0.3, 1e-6);
}

TEST(CalibrationTest, AHalfSureModelThatIsHalfRightIsCalibrated) {
  const std::vector<double> confidences(10, 0.5);
  const std::vector<double> right = {1, 0, 1, 0, 1, 0, 1, 0, 1, 0};
  EXPECT_EQ(CalibrationError(confidences, right, 10).expected_error, 0);
  EXPECT_EQ(CalibrationError(confidences, right, 10).bins[4].count, 10) << "(0.4, 0.5]";
  EXPECT_DOUBLE_EQ(CalibrationError(confidences, std::vector<double>(10, 1.0), 10).expected_error,
                   0.5);
  EXPECT_TRUE(std::isnan(CalibrationError({}, {}, 10).expected_error));
}

TEST(CalibrationTest, ProbabilitiesOfHopelessChoices) {
  EXPECT_EQ(NormalisedProbabilities(std::vector<double>{-kInfinity, -3}),
            (std::vector<double>{0, 1}));
  EXPECT_EQ(NormalisedProbabilities(std::vector<double>{-kInfinity, -kInfinity}),
            (std::vector<double>{0.5, 0.5}));
  EXPECT_NEAR(NormalisedProbabilities(std::vector<double>{-1000, -1000})[0], 0.5, 1e-15);
}

TEST(RatioTest, AKnownCostIsDividedByTheEndsOfTheSaving) {
  const Interval interval = FiellerInterval({100, 0, kInfinity}, {2, 0.5, kInfinity}, 0.95);
  EXPECT_NEAR(interval.low, 100 / (2 + 1.959964 * 0.5), 1e-3);
  EXPECT_NEAR(interval.high, 100 / (2 - 1.959964 * 0.5), 1e-3);
}

TEST(RatioTest, ASavingThatMayBeNoneHasNoUpperEnd) {
  const Interval interval = FiellerInterval({100, 0, kInfinity}, {2, 1.5, kInfinity}, 0.95);
  EXPECT_NEAR(interval.low, 100 / (2 + 1.959964 * 1.5), 1e-3);
  EXPECT_EQ(interval.high, kInfinity);
}

TEST(RatioTest, ASureLossNeverPaysBack) {
  const Interval interval = FiellerInterval({100, 0, kInfinity}, {-2, 0.1, kInfinity}, 0.95);
  EXPECT_EQ(interval.low, kInfinity);
  EXPECT_EQ(interval.high, kInfinity);
}

TEST(RatioTest, AnUnknownErrorLeavesEverythingOpen) {
  const Interval interval = FiellerInterval({100, 0, kInfinity}, {2, kInfinity, 1}, 0.95);
  EXPECT_EQ(interval.low, 0);
  EXPECT_EQ(interval.high, kInfinity);
}

}  // namespace
}  // namespace breakeven
