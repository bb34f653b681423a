// What a rank writes of itself, and the alarm.
#include "comm/heartbeat.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>

#include "comm/watchdog.h"
#include "comm/world.h"

namespace breakeven {
namespace {

TEST(Heartbeat, StartsAsNothing) {
  HeartbeatLine line{};
  const Heartbeat heartbeat = line.Read();
  EXPECT_EQ(heartbeat.beats, 0U);
  EXPECT_EQ(heartbeat.phase, Phase::kIdle);
  EXPECT_EQ(Describe(Plane::kData, heartbeat.data()), "");
}

TEST(Heartbeat, EveryChangeIsASign) {
  HeartbeatLine line{};
  line.Start(77, 5);
  uint64_t beats = line.Read().beats;
  const auto expect_sign = [&] {
    EXPECT_GT(line.Read().beats, beats);
    beats = line.Read().beats;
  };
  line.EnterPhase(Phase::kInput, 3);
  expect_sign();
  const CollectiveCall call{.plane = Plane::kControl, .collective = Collective::kBarrier};
  line.Begin(call);
  expect_sign();
  line.End(Plane::kControl);
  expect_sign();
  line.Beat();
  expect_sign();
  line.Tick();  // of the watchdog's own thread
  EXPECT_EQ(line.Read().beats, beats);
  EXPECT_EQ(line.Read().pid, 77);
  EXPECT_EQ(DescribePlace(line.Read()), "phase input, step 3");
}

// A world of two watched ranks: what the observers write while a collective is on.
TEST(Heartbeat, ShowsTheCollectiveThatARankIsIn) {
  HeartbeatLine lines[2] = {};
  std::atomic<bool> seen = false;
  RunThreadWorld(2, [&](World& world) {
    HeartbeatLine& line = lines[world.rank()];
    world.data->AddObserver(MakeHeartbeatObserver(line));
    world.control->AddObserver(MakeHeartbeatObserver(line));
    world.control->Barrier();
    float values[256] = {};
    const Buffer buffer{values, 256, DType::kFloat32, Device{}};
    if (world.rank() == 1) {
      while (!lines[0].Read().data().inside()) std::this_thread::yield();
      const std::string text = Describe(Plane::kData, lines[0].Read().data());
      EXPECT_TRUE(
          text.starts_with("data AllReduce, call 0, of 1.0 KiB at comm/heartbeat_test.cpp:"))
          << text;
      EXPECT_TRUE(text.ends_with(", not finished")) << text;
      seen = true;
    }
    world.data->AllReduce(buffer, ReduceOp::kSum, Stream{});
    EXPECT_FALSE(line.Read().data().inside());
    EXPECT_EQ(line.Read().data().done, 1U);
    EXPECT_EQ(line.Read().control().done, 1U);
    // A helper's caller is the one that matters.
    RunTogether(*world.control, /*root_only=*/false, [] {});
    const std::string text = Describe(Plane::kControl, line.Read().control());
    EXPECT_NE(text.find("control AllReduce, call 1, of 16 bytes at comm/heartbeat_test.cpp:"),
              std::string::npos)
        << text;
    world.Close();
  });
  EXPECT_TRUE(seen);
}

TEST(Heartbeat, ACollectiveThatFailsIsLeft) {
  HeartbeatLine line{};
  EXPECT_ANY_THROW(RunThreadWorld(1, [&](World& world) {
    world.data->AddObserver(MakeHeartbeatObserver(line));
    world.data->AllReduce({nullptr, 1, DType::kFloat32, Device{}}, ReduceOp::kSum, Stream{});
  }));
  EXPECT_EQ(line.Read().data().begun, 1U);
  EXPECT_FALSE(line.Read().data().inside());
}

TEST(Alarm, KeepsItsFirstCause) {
  AlarmFlag alarm{};
  EXPECT_FALSE(alarm.raised());
  alarm.Raise({.raised_by = 3, .about = 4, .seconds = 2.5, .limit = 2, .phase = Phase::kEval});
  alarm.Raise({.kind = AlarmCause::Kind::kDied, .raised_by = 1, .about = 1});
  ASSERT_TRUE(alarm.raised());
  const AlarmCause cause = alarm.cause();
  EXPECT_EQ(cause.kind, AlarmCause::Kind::kNoProgress);
  EXPECT_EQ(cause.raised_by, 3);
  EXPECT_EQ(cause.about, 4);
  EXPECT_EQ(cause.seconds, 2.5);
  EXPECT_EQ(cause.limit, 2);
  EXPECT_EQ(cause.phase, Phase::kEval);
}

}  // namespace
}  // namespace breakeven
