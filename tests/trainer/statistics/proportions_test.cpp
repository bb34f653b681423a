// Pure. Numbers beside scipy and statsmodels are in tests/parity/test_statistics.py.
#include "trainer/statistics/proportions.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "trainer/statistics/multiple.h"
#include "trainer/statistics/power.h"

namespace breakeven {
namespace {

TEST(ProportionsTest, CountsPairs) {
  const PairedCounts counts =
      CountPairs(std::vector<double>{1, 1, 0, 0, 1}, std::vector<double>{1, 0, 1, 0, 0});
  EXPECT_EQ(counts.both, 1);
  EXPECT_EQ(counts.won, 2);
  EXPECT_EQ(counts.lost, 1);
  EXPECT_EQ(counts.neither, 1);
  EXPECT_EQ(counts.total(), 5);
}

TEST(ProportionsTest, McNemarOfTheTextbookTable) {
  const McNemarTest test = McNemar(25, 10);
  EXPECT_NEAR(test.exact, 0.0167, 5e-5);
  EXPECT_NEAR(test.mid_p, 0.0113, 5e-5);
  EXPECT_EQ(McNemar(0, 0).exact, 1);
  EXPECT_EQ(McNemar(0, 0).mid_p, 0.5);
}

TEST(ProportionsTest, TangoIntervalIsMirroredWhenTheArmsChangePlaces) {
  const Interval one = TangoInterval(12, 3, 80, 0.95);
  const Interval other = TangoInterval(3, 12, 80, 0.95);
  EXPECT_NEAR(one.low, -other.high, 1e-14);
  EXPECT_NEAR(one.high, -other.low, 1e-14);
  EXPECT_TRUE(one.Contains(9.0 / 80));
}

TEST(ProportionsTest, TangoIntervalAtItsEnds) {
  // Every document lost: the difference may be −1.
  const Interval lost = TangoInterval(0, 20, 20, 0.95);
  EXPECT_EQ(lost.low, -1);
  EXPECT_GT(lost.high, -1);
  EXPECT_LT(lost.high, -0.5);
  const Interval nothing = TangoInterval(0, 0, 0, 0.95);
  EXPECT_EQ(nothing.low, -1);
  EXPECT_EQ(nothing.high, 1);
}

TEST(ProportionsTest, TangoIntervalNarrowsWithDocumentsAndWidensWithConfidence) {
  const Interval few = TangoInterval(10, 5, 100, 0.95);
  const Interval many = TangoInterval(100, 50, 1000, 0.95);
  const Interval sure = TangoInterval(10, 5, 100, 0.99);
  EXPECT_LT(many.high - many.low, few.high - few.low);
  EXPECT_LT(sure.low, few.low);
  EXPECT_GT(sure.high, few.high);
  EXPECT_LT(few.low, 0);
  EXPECT_GT(many.low, 0);
}

// The table of detectable effects that the methods page gives, in points.
TEST(PowerTest, DetectableDifferencesOfTheMethodsPage) {
  const PowerOptions options;
  EXPECT_NEAR(100 * DetectableDifference(0.2, 1000, options), 4.0, 0.05);
  EXPECT_NEAR(100 * DetectableDifference(0.05, 5000, options), 0.9, 0.05);
  EXPECT_NEAR(DocumentsForDifference(0.2, 0.02, options), 3923, 1);
  EXPECT_NEAR(DocumentsForDifference(0.2, 0.05, options), 626, 1);
}

TEST(PowerTest, EdgesOfTheFormula) {
  const PowerOptions options;
  EXPECT_TRUE(std::isinf(DocumentsForDifference(0.2, 0, options)));
  EXPECT_EQ(DetectableDifference(0.5, 1, options), 1) << "one document detects nothing";
  // A difference can't be larger than the share that differs: the share is raised to it.
  EXPECT_DOUBLE_EQ(DocumentsForDifference(0.01, 0.1, options),
                   DocumentsForDifference(0.1, 0.1, options));
}

TEST(HolmTest, StepsDownAndKeepsNaN) {
  const std::vector<double> adjusted =
      HolmAdjusted(std::vector<double>{0.03, 0.01, std::nan(""), 0.04});
  EXPECT_DOUBLE_EQ(adjusted[1], 0.04);
  EXPECT_DOUBLE_EQ(adjusted[0], 0.09);
  EXPECT_DOUBLE_EQ(adjusted[3], 0.09) << "never below one before it";
  EXPECT_TRUE(std::isnan(adjusted[2]));
}

}  // namespace
}  // namespace breakeven
