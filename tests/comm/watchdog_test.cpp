// The watchdog of one process, which it ends: each test is a process of its own. Jobs of several ranks and nodes are in
// tests/system/test_watchdog_job.py.
#include "comm/watchdog.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "comm/base/fault_injection.h"
#include "comm/watched_world.h"

namespace breakeven {
namespace {

WatchdogConfig LimitOf(double seconds) {
  WatchdogConfig config;
  config.startup_seconds = config.step_seconds = seconds;
  config.checkpoint_seconds = config.eval_seconds = config.closing_seconds = seconds;
  return config;
}

[[gnu::noinline]] void HangForEver() {
  for (;;) ::pause();
}

class WatchdogDeathTest : public testing::Test {
 protected:
  WatchdogDeathTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(WatchdogDeathTest, AHangEndsWithItsPhaseItsStackAnd70) {
  EXPECT_EXIT(
      {
        World world = MakeSingleWorld();
        WatchSingleWorld(world);
        SetWatch(world, LimitOf(0.5));
        world.EnterPhase(Phase::kInput, 12);
        HangForEver();
      },
      testing::ExitedWithCode(70),
      "rank 0 made no progress for 0\\.[0-9]* s in phase input \\(watchdog\\.step_seconds: 0\\.5 "
      "s\\)"
      "(.|\n)*main thread(.|\n)*HangForEver(.|\n)*error: watchdog: rank 0 on .* is in phase input");
}

TEST_F(WatchdogDeathTest, ALearnedLimitIsSaidToBeOne) {
  EXPECT_EXIT(
      {
        World world = MakeSingleWorld();
        WatchSingleWorld(world);
        WatchdogConfig config = LimitOf(0.4);
        config.learned_scale = 2;  // 10 s at least: the fixed limit is the smaller
        SetWatch(world, config);
        for (int step = 0; step < 8; ++step) {
          world.EnterPhase(Phase::kInput, step);
          world.EnterPhase(Phase::kStep, step);
        }
        HangForEver();
      },
      testing::ExitedWithCode(70), "in phase step \\(watchdog\\.step_seconds: 0\\.4 s\\)");
}

TEST_F(WatchdogDeathTest, AHangInClosingEndsToo) {
  EXPECT_EXIT(
      {
        World world = MakeSingleWorld();
        WatchSingleWorld(world);
        SetWatch(world, LimitOf(0.3));
        SetFaults("world.close=hang");
        world.Close();
      },
      testing::ExitedWithCode(70), "in phase closing \\(watchdog\\.closing_seconds: 0\\.3 s\\)");
}

// Two ranks on one page of which one is a line only, as of a process that does not run.
[[noreturn]] void BeatBesideASilentRank() {
  WatchSetup setup;
  setup.hosts.assign(2, "here");
  setup.nodes.assign(2, 0);
  setup.page = MakeLocalPage({0, 1});
  setup.abort_job = [](int code) { ::_exit(code); };
  setup.page.lines[1]->EnterPhase(Phase::kEval, -1);
  Watchdog watchdog(std::move(setup));
  watchdog.SetLimits(LimitOf(2));
  watchdog.EnterPhase(Phase::kEval, -1);
  for (;;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    watchdog.Beat();
  }
}

TEST_F(WatchdogDeathTest, TheRankThatSaysNothingIsTheCulprit) {
  EXPECT_EXIT(
      BeatBesideASilentRank(), testing::ExitedWithCode(70),
      "rank 0 noticed that rank 1 made no progress(.|\n)*error: watchdog: rank 1 on here is "
      "frozen");
}

TEST_F(WatchdogDeathTest, WhatCannotAbortEndsAllTheSame) {
  EXPECT_EXIT(
      {
        World world = MakeSingleWorld();
        WatchSetup setup;
        setup.hosts.assign(1, "here");
        setup.nodes.assign(1, 0);
        setup.page = MakeLocalPage({0});
        setup.abort_job = [](int) { HangForEver(); };  // as an MPI that waits for a lost network
        WatchWorld(world, std::move(setup));
        SetWatch(world, LimitOf(0.3));
        world.EnterPhase(Phase::kStep, 0);
        HangForEver();
      },
      testing::ExitedWithCode(70), "rank 0 on here is in phase step");
}

TEST(Watchdog, ProgressKeepsItQuiet) {
  World world = MakeSingleWorld();
  WatchSingleWorld(world);
  SetWatch(world, LimitOf(0.5));
  world.EnterPhase(Phase::kEval, -1);
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1500);
  while (std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    world.Beat();
  }
  world.Close();
}

TEST(Watchdog, IdleAndSwitchedOffHaveNoLimit) {
  for (const bool enabled : {true, false}) {
    World world = MakeSingleWorld();
    WatchSingleWorld(world);
    WatchdogConfig config = LimitOf(0.2);
    config.enabled = enabled;
    SetWatch(world, config);
    if (!enabled) world.EnterPhase(Phase::kStep, 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    world.Close();
  }
}

TEST(Watchdog, StartUpAndClosingHaveLimitsBeforeTheConfigIsRead) {
  World world = MakeSingleWorld();
  WatchSingleWorld(world);
  EXPECT_EQ(world.watchdog->Limit(Phase::kStartUp), WatchdogConfig().startup_seconds);
  EXPECT_EQ(world.watchdog->Limit(Phase::kClosing), WatchdogConfig().closing_seconds);
  EXPECT_EQ(world.watchdog->Limit(Phase::kStep), 0);
  EXPECT_EQ(world.watchdog->Limit(Phase::kIdle), 0);
  WatchdogConfig off;
  off.enabled = false;
  SetWatch(world, off);
  EXPECT_EQ(world.watchdog->Limit(Phase::kStartUp), 0);
  EXPECT_EQ(world.watchdog->Limit(Phase::kClosing), 0);
  world.Close();
}

TEST(Watchdog, TheLearnedLimitHoldsWithAndWithoutAFixedOne) {
  const auto limit_with = [](bool enabled, double step_seconds, double learned_scale) {
    World world = MakeSingleWorld();
    WatchSingleWorld(world);
    WatchdogConfig config;
    config.enabled = enabled;
    config.step_seconds = step_seconds;
    config.learned_scale = learned_scale;
    SetWatch(world, config);
    for (int step = 0; step < 8; ++step) {
      world.EnterPhase(Phase::kInput, step);
      world.EnterPhase(Phase::kStep, step);
    }
    const double limit = world.watchdog->Limit(Phase::kStep);
    world.Close();
    return limit;
  };
  EXPECT_EQ(limit_with(true, 900, 20), StepPace::kLeastLimit);
  EXPECT_EQ(limit_with(true, 0, 20), StepPace::kLeastLimit) << "the fixed one is off";
  EXPECT_EQ(limit_with(true, 5, 20), 5) << "the smaller of the two";
  EXPECT_EQ(limit_with(true, 900, 0), 900);
  EXPECT_EQ(limit_with(true, 0, 0), 0);
  EXPECT_EQ(limit_with(false, 0, 20), 0);
}

TEST_F(WatchdogDeathTest, ALearnedLimitAloneEndsAHang) {
  EXPECT_EXIT(
      {
        World world = MakeSingleWorld();
        WatchSingleWorld(world);
        WatchdogConfig config = LimitOf(0);
        config.learned_scale = 2;
        SetWatch(world, config);
        for (int step = 0; step < 8; ++step) {
          world.EnterPhase(Phase::kInput, step);
          world.EnterPhase(Phase::kStep, step);
        }
        HangForEver();  // 10 s: StepPace::kLeastLimit
      },
      testing::ExitedWithCode(70),
      "in phase step \\(by watchdog\\.learned_scale: 10 s\\)(.|\n)*raise watchdog\\.learned_scale");
}

TEST(PhaseScope, PutsTheFormerPhaseBack) {
  World world = MakeSingleWorld();
  WatchSingleWorld(world);
  world.EnterPhase(Phase::kStep, 5);
  {
    const PhaseScope scope(world.watchdog.get(), Phase::kCheckpoint, 6);
    EXPECT_EQ(world.watchdog->line().phase(), Phase::kCheckpoint);
    EXPECT_EQ(world.watchdog->line().step(), 6);
  }
  EXPECT_EQ(world.watchdog->line().phase(), Phase::kStep);
  EXPECT_EQ(world.watchdog->line().step(), 5);
  const PhaseScope none(nullptr, Phase::kEval);
  world.Close();
}

TEST(Watchdog, OfARankThatFailedIsEndedWithoutAWord) {
  World world = MakeSingleWorld();
  WatchSingleWorld(world);
  world.EnterPhase(Phase::kStep, 5);
}  // not closed: destructors only

}  // namespace
}  // namespace breakeven
