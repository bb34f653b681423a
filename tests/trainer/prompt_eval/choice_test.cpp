// Pure.
#include "trainer/prompt_eval/choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace breakeven {
namespace {

using ::testing::ElementsAre;

ArmSummary Arm(const std::string& model, const std::string& metric, double value) {
  ArmSummary arm;
  arm.model = model;
  arm.metrics[metric] = {value, 0.1};
  return arm;
}

TEST(ChoiceTest, TheBestIsTheFirstOfEqualsAndNeverNan) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(BestOf(std::vector<double>{nan, 0.2, 0.5, 0.5}, false), 2u);
  EXPECT_EQ(BestOf(std::vector<double>{3, 2, nan, 2}, true), 1u);
}

TEST(ChoiceTest, OneArmForEachRunTheFirstOfEquals) {
  const std::vector<ArmSummary> arms = {
      Arm("base", "acc", 0.4),         Arm("base", "acc", 0.5),
      Arm("tuned@step_1", "acc", 0.6), Arm("tuned@step_1", "acc", 0.7),
      Arm("tuned@step_2", "acc", 0.7), Arm("tuned@step_2", "acc", 0.65),
      Arm("other", "acc", 0.1)};
  EXPECT_THAT(ChooseArms(arms, "acc"), ElementsAre(1, 3, 6));
}

TEST(ChoiceTest, LessPerplexityIsBetterAndNaNNeverWins) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<ArmSummary> arms = {
      Arm("m", "bits_per_byte", nan), Arm("m", "bits_per_byte", 1.5),
      Arm("m", "bits_per_byte", 1.2), Arm("m", "bits_per_byte", nan)};
  EXPECT_THAT(ChooseArms(arms, "bits_per_byte"), ElementsAre(2));
}

}  // namespace
}  // namespace breakeven
