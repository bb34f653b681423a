// Pure.
#include "trainer/total_steps.h"

#include <gtest/gtest.h>

namespace breakeven {
namespace {

// Steps cut by tokens: epochs differ.
int64_t TenAndMore(int64_t epoch) { return 10 + epoch; }

TEST(CountTotalSteps, MaxStepsComesBeforeEpochs) {
  EXPECT_EQ(CountTotalSteps(7, 3, TenAndMore), 7);
  EXPECT_EQ(CountTotalSteps(0, 3, TenAndMore), 10 + 11 + 12);
}

TEST(CountTotalSteps, AFractionIsOfItsOwnEpochAndRoundsUp) {
  EXPECT_EQ(CountTotalSteps(0, 1.5, TenAndMore), 10 + 6);
  EXPECT_EQ(CountTotalSteps(0, 0.01, TenAndMore), 1);
}

}  // namespace
}  // namespace breakeven
