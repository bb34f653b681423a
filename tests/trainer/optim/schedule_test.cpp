// Pure.
#include "trainer/optim/schedule.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace breakeven {
namespace {

ScheduleConfig Config(const std::string& kind, int64_t warmup_steps, double min_ratio = 0) {
  ScheduleConfig config;
  config.kind = kind;
  config.warmup_steps = warmup_steps;
  config.min_ratio = min_ratio;
  return config;
}

void ExpectFactors(const Schedule& schedule, const std::vector<double>& expected) {
  for (size_t step = 0; step < expected.size(); ++step) {
    EXPECT_DOUBLE_EQ(schedule.Factor(static_cast<int64_t>(step)), expected[step])
        << "step " << step;
  }
}

// The expected values are transformers' (get_scheduler with the same numbers);
// tests/parity/test_training.py compares whole curves live.
TEST(Schedule, ConstantWarmsUpFromZero) {
  ExpectFactors(Schedule(Config("constant", 4), 10), {0, 0.25, 0.5, 0.75, 1, 1, 1});
}

TEST(Schedule, LinearReachesZeroAfterTheLastStep) {
  ExpectFactors(Schedule(Config("linear", 2), 10),
                {0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0});
}

TEST(Schedule, LinearWithFloorEndsAtTheFloor) {
  const Schedule schedule(Config("linear", 0, 0.1), 10);
  EXPECT_DOUBLE_EQ(schedule.Factor(0), 1);
  EXPECT_DOUBLE_EQ(schedule.Factor(10), 0.1);
  EXPECT_DOUBLE_EQ(schedule.Factor(5), 0.55);
}

TEST(Schedule, CosineIsHalfWayAtHalf) {
  const Schedule schedule(Config("cosine", 2), 10);
  EXPECT_DOUBLE_EQ(schedule.Factor(1), 0.5);
  EXPECT_DOUBLE_EQ(schedule.Factor(2), 1);
  EXPECT_NEAR(schedule.Factor(6), 0.5, 1e-15);
  EXPECT_NEAR(schedule.Factor(10), 0, 1e-15);
}

TEST(Schedule, StableThenDecay) {
  ScheduleConfig config = Config("warmup_stable_decay", 2, 0.5);
  config.decay_ratio = 0.4;
  const Schedule schedule(config, 10);
  ExpectFactors(schedule, {0.5, 0.75, 1, 1, 1, 1, 1});
  EXPECT_LT(schedule.Factor(7), 1) << "the last 4 steps";
  EXPECT_NEAR(schedule.Factor(8), 0.75, 1e-15);
  EXPECT_DOUBLE_EQ(schedule.Factor(10), 0.5);
}

TEST(Schedule, RatiosRoundUpAndWarmupStepsWin) {
  ScheduleConfig config;
  config.warmup_ratio = 0.1;
  EXPECT_EQ(Schedule(config, 11).warmup_steps(), 2);
  config.warmup_steps = 5;
  EXPECT_EQ(Schedule(config, 11).warmup_steps(), 5);
}

TEST(Schedule, OneStepWithoutWarmup) {
  EXPECT_DOUBLE_EQ(Schedule(Config("linear", 0), 1).Factor(0), 1);
  EXPECT_DOUBLE_EQ(Schedule(Config("cosine", 0), 1).Factor(0), 1);
}

}  // namespace
}  // namespace breakeven
