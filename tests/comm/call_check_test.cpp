#include "comm/call_check.h"

#include <gtest/gtest.h>

#include <mutex>
#include <string>

#include "comm/base/error.h"
#include "comm/thread_control.h"
#include "comm/thread_hub.h"
#include "comm/world.h"

namespace breakeven {
namespace {

// What every rank throws, checked.
std::vector<std::string> Messages(int world_size, const std::function<void(World&)>& body) {
  const auto hub = std::make_shared<ThreadHub>(world_size);
  std::vector<std::string> messages;
  std::mutex mutex;
  RunThreadWorld(world_size, [&](World& world) {
    world.data->AddObserver(MakeCallCheck(MakeThreadControl(hub, world.rank())));
    try {
      body(world);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
      EXPECT_TRUE(error.on_all_ranks());
      const std::lock_guard lock(mutex);
      messages.emplace_back(error.what());
    }
    world.Close();
  });
  return messages;
}

void Reduce(World& world, int64_t count, ReduceOp op = ReduceOp::kSum) {
  std::vector<float> values(static_cast<size_t>(count));
  world.data->AllReduce({values.data(), count, DType::kFloat32, Device{}}, op, Stream{});
}

TEST(CallCheck, LetsEqualCallsPass) {
  EXPECT_TRUE(Messages(3, [](World& world) {
                const Memory memory = world.data->Allocate(100);
                for (int i = 0; i < 5; ++i) Reduce(world, i);
                world.data->Barrier();
              }).empty());
}

TEST(CallCheck, NamesTwoRanksTheirCallsAndPlaces) {
  const auto messages = Messages(3, [](World& world) {
    Reduce(world, 7);
    if (world.rank() < 2) Reduce(world, 8);
    if (world.rank() == 2) world.data->Barrier();
  });
  ASSERT_EQ(messages.size(), 3u);
  for (const std::string& message : messages) {
    EXPECT_EQ(message, messages[0]);
    EXPECT_NE(message.find("rank 0 AllReduce, call 1: sum of 8 float32 (comm/call_check_test.cpp:"),
              std::string::npos)
        << message;
    EXPECT_NE(message.find("rank 2 Barrier, call 1 (comm/call_check_test.cpp:"), std::string::npos)
        << message;
  }
}

TEST(CallCheck, SeesEveryDifference) {
  for (const auto& differ : std::vector<std::function<void(World&)>>{
           [](World& world) { Reduce(world, 4 + world.rank()); },
           [](World& world) {
             Reduce(world, 4, world.rank() == 0 ? ReduceOp::kSum : ReduceOp::kMax);
           },
           [](World& world) {
             int32_t value = 0;
             const DType dtype = world.rank() == 0 ? DType::kInt32 : DType::kFloat32;
             world.data->AllReduce({&value, 1, dtype, Device{}}, ReduceOp::kSum, Stream{});
           },
           [](World& world) {
             float value = 0;
             world.data->Broadcast({&value, 1, DType::kFloat32, Device{}}, world.rank(), Stream{});
           },
           [](World& world) { world.data->Allocate(64 * (1 + world.rank())); }}) {
    EXPECT_EQ(Messages(2, differ).size(), 2u);
  }
}

struct Counter final : CollectiveObserver {
  explicit Counter(std::vector<std::string>& calls) : log(calls) {}
  void Begin(const CollectiveCall& call) override { log.push_back("begin " + call.Text()); }
  void End(const CollectiveCall& call) noexcept override { log.push_back("end " + call.Text()); }
  void Close() override { log.push_back("close"); }
  std::vector<std::string>& log;
};

TEST(Communicator, ObserversSeeEveryCallAndItsEnd) {
  std::vector<std::string> calls;
  RunThreadWorld(1, [&](World& world) {
    world.data->AddObserver(std::make_unique<Counter>(calls));
    Reduce(world, 3);
    world.Close();
  });
  const std::vector<std::string> expected = {"begin AllReduce, call 0: sum of 3 float32",
                                             "end AllReduce, call 0: sum of 3 float32",
                                             "begin Close, call 1", "end Close, call 1", "close"};
  EXPECT_EQ(calls, expected);
}

TEST(Communicator, StartedCallsHaveNamesOfTheirOwn) {
  std::vector<std::string> calls;
  RunThreadWorld(1, [&](World& world) {
    const Memory memory = world.data->Allocate(400);
    const Buffer buffer{memory.data(), 100, DType::kFloat32, Device{}};
    world.data->AddObserver(std::make_unique<Counter>(calls));
    world.data->StartReduceScatter(buffer, ReduceOp::kSum, nullptr);
    world.data->StartAllGather(buffer);
    world.data->Complete();
  });
  const std::vector<std::string> expected = {"begin StartReduceScatter, call 1: sum of 100 float32",
                                             "end StartReduceScatter, call 1: sum of 100 float32",
                                             "begin StartAllGather, call 2: 100 float32",
                                             "end StartAllGather, call 2: 100 float32",
                                             "begin Complete, call 3",
                                             "end Complete, call 3"};
  EXPECT_EQ(calls, expected);
}

}  // namespace
}  // namespace breakeven
