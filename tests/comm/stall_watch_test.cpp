// Deadlines, with a clock that the test moves.
#include "comm/stall_watch.h"

#include <gtest/gtest.h>

#include <vector>

#include "comm/watchdog_config.h"

namespace breakeven {
namespace {

// Two ranks of a node, 4 and 5; rank 4 looks.
class StallWatchTest : public testing::Test {
 protected:
  StallWatchTest() : sights_(2) {
    for (auto& sight : sights_) sight.heartbeat.phase = Phase::kStep;
    watch_.Look(now_, sights_);
  }

  // `seconds` pass in looks of 0.1 s, the named lines ticking and beating all the while.
  void Pass(double seconds, std::vector<size_t> ticking, std::vector<size_t> beating) {
    const double end = now_ + seconds;
    while (now_ < end - 1e-9) {
      now_ += 0.1;
      for (const size_t i : ticking) ++sights_[i].heartbeat.ticks;
      for (const size_t i : beating) ++sights_[i].heartbeat.beats;
      watch_.Look(now_, sights_);
    }
  }

  std::optional<AlarmCause> Find() const {
    return watch_.Find([](Phase phase) { return phase == Phase::kStep ? 3.0 : 0.0; });
  }

  double now_ = 1000;
  std::vector<StallWatch::Sight> sights_;
  StallWatch watch_{{4, 5}, 0};
};

TEST_F(StallWatchTest, ProgressIsNoStall) {
  Pass(20, {0, 1}, {0, 1});
  EXPECT_FALSE(Find().has_value());
  EXPECT_EQ(watch_.seconds_without_progress(0), 0);
}

TEST_F(StallWatchTest, OwnStallIsFoundAtTheLimit) {
  Pass(2.9, {0, 1}, {1});
  EXPECT_FALSE(Find().has_value());
  Pass(0.3, {0, 1}, {1});
  const auto cause = Find();
  ASSERT_TRUE(cause.has_value());
  EXPECT_EQ(cause->kind, AlarmCause::Kind::kNoProgress);
  EXPECT_EQ(cause->about, 4);
  EXPECT_EQ(cause->raised_by, 4);
  EXPECT_NEAR(cause->seconds, 3.2, 1e-6);
  EXPECT_EQ(cause->limit, 3);
  EXPECT_EQ(cause->phase, Phase::kStep);
}

TEST_F(StallWatchTest, AnothersStallIsFoundALittleLater) {
  Pass(3.2, {0, 1}, {0});
  EXPECT_FALSE(Find().has_value()) << "it should say so itself";
  Pass(0.5, {0}, {0});
  const auto cause = Find();
  ASSERT_TRUE(cause.has_value());
  EXPECT_EQ(cause->about, 5);
  EXPECT_NEAR(watch_.seconds_silent(1), 0.5, 1e-6);
}

TEST_F(StallWatchTest, OneSignStartsTheTimeAgain) {
  Pass(2.9, {0, 1}, {1});
  Pass(0.1, {0, 1}, {0, 1});
  Pass(2.9, {0, 1}, {1});
  EXPECT_FALSE(Find().has_value());
}

TEST_F(StallWatchTest, PhasesWithoutLimitNeverStall) {
  sights_[0].heartbeat.phase = Phase::kIdle;
  sights_[1].heartbeat.phase = Phase::kEnded;
  Pass(100, {}, {});
  EXPECT_FALSE(Find().has_value());
}

// SIGSTOP to the whole job, a laptop that slept, a debugger: the looker has not run either.
TEST_F(StallWatchTest, TimeInWhichTheLookerStoodStillDoesNotCount) {
  Pass(1, {0, 1}, {});
  now_ += 3600;
  watch_.Look(now_, sights_);
  EXPECT_FALSE(Find().has_value());
  EXPECT_NEAR(watch_.seconds_without_progress(0), 1.5, 1e-6);
  Pass(2, {0, 1}, {});
  EXPECT_TRUE(Find().has_value());
}

TEST_F(StallWatchTest, AClockThatGoesBackIsNoProgressAndNoAge) {
  now_ -= 50;
  watch_.Look(now_, sights_);
  EXPECT_EQ(watch_.seconds_without_progress(0), 0);
}

TEST_F(StallWatchTest, ADeadRankIsLeftToTheLauncherFirst) {
  sights_[1].gone = true;
  Pass(4.5, {0}, {0});
  const auto stalled = Find();  // by its phase's limit, the same rank
  ASSERT_TRUE(stalled.has_value());
  EXPECT_EQ(stalled->kind, AlarmCause::Kind::kNoProgress);
  Pass(1, {0}, {0});
  const auto cause = Find();
  ASSERT_TRUE(cause.has_value());
  EXPECT_EQ(cause->kind, AlarmCause::Kind::kDied);
  EXPECT_EQ(cause->about, 5);
}

TEST_F(StallWatchTest, ARankThatEndedHasNotDied) {
  sights_[1].gone = true;
  sights_[1].heartbeat.phase = Phase::kEnded;
  Pass(100, {0}, {0});
  EXPECT_FALSE(Find().has_value());
}

TEST(WatchdogConfig, EveryPhaseHasItsLimit) {
  WatchdogConfig config;
  config.startup_seconds = 1;
  config.step_seconds = 2;
  config.checkpoint_seconds = 3;
  config.eval_seconds = 4;
  config.closing_seconds = 5;
  const std::pair<Phase, double> expected[] = {
      {Phase::kIdle, 0}, {Phase::kStartUp, 1},    {Phase::kInput, 2},
      {Phase::kStep, 2}, {Phase::kCheckpoint, 3}, {Phase::kValidation, 4},
      {Phase::kEval, 4}, {Phase::kClosing, 5},    {Phase::kEnded, 0}};
  for (const auto& [phase, seconds] : expected) {
    EXPECT_EQ(config.Limit(phase), seconds) << PhaseName(phase);
    EXPECT_EQ(WatchdogConfig::LimitKey(phase).empty(), seconds == 0) << PhaseName(phase);
  }
  config.enabled = false;
  for (const auto& [phase, seconds] : expected) EXPECT_EQ(config.Limit(phase), 0);
}

// Steps of `seconds`, with input at their beginning.
void Steps(StepPace& pace, double& now, int count, double seconds) {
  for (int i = 0; i < count; ++i) {
    pace.EnterPhase(Phase::kInput, now);
    pace.EnterPhase(Phase::kStep, now + seconds / 4);
    now += seconds;
  }
}

TEST(StepPace, KnowsNothingBeforeSomeSteps) {
  StepPace pace;
  double now = 5;
  Steps(pace, now, 4, 2);
  EXPECT_EQ(pace.Limit(20), 0);
  Steps(pace, now, 1, 2);
  EXPECT_NEAR(pace.Limit(20), 40, 1e-9);
  EXPECT_EQ(pace.Limit(0), 0);
}

TEST(StepPace, GoesByTheSlowestOfTheLastSteps) {
  StepPace pace;
  double now = 5;
  Steps(pace, now, 6, 1);
  Steps(pace, now, 1, 3);
  Steps(pace, now, 10, 1);
  EXPECT_NEAR(pace.Limit(10), 30, 1e-9);
  Steps(pace, now, StepPace::kSteps, 2);
  EXPECT_NEAR(pace.Limit(10), 20, 1e-9) << "long ago";
}

TEST(StepPace, IsNeverShorterThanAHiccup) {
  StepPace pace;
  double now = 5;
  Steps(pace, now, 20, 0.001);
  EXPECT_EQ(pace.Limit(10), StepPace::kLeastLimit);
}

TEST(StepPace, StepsWithACheckpointBetweenDoNotCount) {
  StepPace pace;
  double now = 5;
  Steps(pace, now, 6, 1);
  pace.EnterPhase(Phase::kCheckpoint, now);
  now += 500;
  pace.EnterPhase(Phase::kStep, now);
  Steps(pace, now, 6, 1);
  EXPECT_NEAR(pace.Limit(20), 20, 1e-9);
}

}  // namespace
}  // namespace breakeven
