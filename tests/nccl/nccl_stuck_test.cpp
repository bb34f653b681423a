// Calls of NCCL and of the device that do not return, in a communicator: it is aborted all the same, and the job ends.
#include <gtest/gtest.h>
#include <nccl.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "tests/nccl/nccl_world.h"

namespace breakeven {
namespace {

using cuda_double::FaultKind;
using cuda_double::NumCalls;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

NcclOptions Options() {
  NcclOptions options = ShortOptions();
  options.abort_timeout_seconds = 0.4;
  return options;
}

Buffer Start(const World& world, const Memory& memory) {
  return {memory.data(), 16, DType::kFloat32, world.device};
}

// Lets go of what hangs for ever once `condition` holds, so that the test ends. In a thread of its own.
std::thread ReleaseWhen(const std::function<bool()>& condition) {
  return std::thread([condition] {
    EXPECT_TRUE(Eventually(condition));
    cuda_double::ReleaseHung();
  });
}

class NcclStuck : public NcclTest, public testing::WithParamInterface<FaultKind> {};

INSTANTIATE_TEST_SUITE_P(Until, NcclStuck,
                         testing::Values(FaultKind::kHangUntilAbort, FaultKind::kHang),
                         [](const auto& parameters) {
                           return parameters.param == FaultKind::kHang ? "ForEver" : "Aborted";
                         });

TEST_P(NcclStuck, AbortFromAnotherThreadEndsTheJobUnderALaunch) {
  cuda_double::Inject({.call = "ncclAllReduce", .kind = GetParam()});
  std::atomic<bool> ended = false;
  std::string message;
  RunThreadWorld(1, [&](World& world) {
    NcclOptions options = Options();
    options.collective_timeout_seconds = 60;  // the watch has no reason to look for it
    MoveToDouble(world, options, 0, [&](std::string_view) { ended = true; });
    Memory memory = world.data->Allocate(64);
    std::thread other([&] {
      EXPECT_TRUE(Eventually([] { return NumCalls("ncclAllReduce") == 1; }));
      world.data->Abort("no more");
    });
    std::thread release = ReleaseWhen([&] { return ended.load(); });
    try {
      world.data->AllReduce(Start(world, memory), ReduceOp::kSum, Stream{});
    } catch (const Error& error) {
      message = error.what();
    }
    other.join();
    release.join();
  });
  EXPECT_THAT(message, HasSubstr("aborted: no more"));
}

TEST_P(NcclStuck, ALaunchThatDoesNotReturnIsFoundByTheWatch) {
  cuda_double::Inject({.call = "ncclAllReduce", .kind = GetParam()});
  std::thread release = ReleaseWhen([] { return NumCalls("ncclCommAbort") == 1; });
  EXPECT_THAT(
      Endings(1, Options(),
              [](World& world) {
                Memory memory = world.data->Allocate(64);
                world.data->AllReduce(Start(world, memory), ReduceOp::kSum, Stream{});
              }),
      ElementsAre(AllOf(StartsWith("76 "),
                        HasSubstr("ncclAllReduce (AllReduce, call 1: sum of 16 float32, at "),
                        HasSubstr("has not returned"))));
  release.join();
}

TEST_P(NcclStuck, CloseEndsWhereFinalizeDoesNotReturn) {
  cuda_double::Inject({.call = "ncclCommFinalize", .kind = GetParam(), .device = 1});
  std::thread release = ReleaseWhen([] { return NumCalls("ncclCommAbort") == 2; });
  EXPECT_THAT(Endings(2, Options(), [](World& world) { world.Close(); }),
              ElementsAre(HasSubstr("ncclCommFinalize has not finished after 0.3 s"),
                          HasSubstr("ncclCommFinalize has not returned after 0.3 s")));
  release.join();
}

class NcclDeviceStuck : public NcclTest {};

// Where the device's queue is full behind a collective that hangs, the host blocks in the driver: the watch must not.
TEST_F(NcclDeviceStuck, ACollectiveThatHangsIsFoundWhileTheHostBlocksInTheDriver) {
  cuda_double::Inject({.call = "ncclAllReduce", .kind = FaultKind::kNeverArrives});
  cuda_double::Inject({.call = "cudaEventRecord", .kind = FaultKind::kHang, .number = 2});
  std::thread release = ReleaseWhen([] { return NumCalls("ncclCommAbort") == 1; });
  EXPECT_THAT(Endings(1, Options(),
                      [](World& world) {
                        Memory memory = world.data->Allocate(64);
                        world.data->AllReduce(Start(world, memory), ReduceOp::kSum, Stream{});
                        world.data->AllReduce(Start(world, memory), ReduceOp::kSum, Stream{});
                        world.data->Barrier();
                      }),
              ElementsAre(AllOf(HasSubstr("AllReduce, call 1: "), HasSubstr("has not ended"))));
  release.join();
}

}  // namespace
}  // namespace breakeven
