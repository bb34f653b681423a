// What a rank writes of itself, and the alarm.
#include "comm/heartbeat.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>

#include "comm/watchdog.h"
#include "comm/world.h"
#include "tests/comm/shared_memory_world.h"

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

// What is known behind the call: of a waiting one that it is done, of a started one only that.
TEST(Heartbeat, TellsLaunchedFromFinished) {
  HeartbeatLine lines[2] = {};
  RunSharedMemoryWorld(2, {}, [&](World& world) {
    HeartbeatLine& line = lines[world.rank()];
    world.data->AddObserver(MakeHeartbeatObserver(line));
    const auto text = [&] { return Describe(Plane::kData, line.Read().data()); };
    Memory memory = world.data->Allocate(800);
    const Buffer buffer{memory.data(), 200, DType::kFloat32, Device{}};
    world.data->AllReduce(buffer, ReduceOp::kSum, Stream{});
    EXPECT_TRUE(text().ends_with(", finished")) << text();
    world.data->StartReduceScatter(buffer, ReduceOp::kSum, nullptr);
    EXPECT_TRUE(text().starts_with("data StartReduceScatter, call ")) << text();
    EXPECT_TRUE(text().ends_with(", launched")) << text();
    world.data->Complete();
    EXPECT_TRUE(text().ends_with(", finished")) << text();
  });
}

// On a GPU the host goes on when a collective is in the stream's queue.
TEST(Heartbeat, ACallThatOnlyLaunchesIsNeverCalledFinished) {
  HeartbeatLine line{};
  const CollectiveCall call{
      .collective = Collective::kAllReduce, .count = 1, .only_launches = true};
  line.Begin(call);
  EXPECT_TRUE(Describe(Plane::kData, line.Read().data()).ends_with(", not finished"));
  line.End(Plane::kData);
  EXPECT_FALSE(line.Read().data().inside());
  EXPECT_TRUE(Describe(Plane::kData, line.Read().data()).ends_with(", launched"));
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
