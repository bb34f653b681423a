// How it ends when NCCL, the device or another rank fails: at once or at the deadline, with the cause, and nothing left.
#include <gtest/gtest.h>
#include <nccl.h>

#include <chrono>
#include <ostream>
#include <string>
#include <vector>

#include "comm/base/fault_injection.h"
#include "comm/nccl_check.h"
#include "tests/nccl/nccl_world.h"

namespace breakeven {
namespace {

using cuda_double::Fault;
using cuda_double::FaultKind;
using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::StartsWith;

// One call of everything, as a small training run makes them.
void UseAll(World& world) {
  Memory memory = world.data->Allocate(4096);
  const int64_t part = 16;
  const Buffer all{memory.data(), part * world.world_size(), DType::kFloat32, world.device};
  Buffer mine = all;
  mine.data = static_cast<float*>(all.data) + part * world.rank();
  mine.count = part;
  world.data->Broadcast(all, 0, Stream{});
  world.data->AllReduce(all, ReduceOp::kSum, Stream{});
  world.data->ReduceScatter(all, mine, ReduceOp::kSum, Stream{});
  world.data->AllGather(mine, all, Stream{});
  world.data->BeginGroup();
  world.data->AllReduce(all, ReduceOp::kSum, Stream{});
  world.data->EndGroup();
  world.data->Barrier();
  memory = Memory();
  world.Close();
}

class NcclFailure : public NcclTest {};

TEST_F(NcclFailure, NothingFailsWithoutAFault) {
  EXPECT_THAT(Endings(3, PatientOptions(), UseAll), Each(""));
}

struct CallCase {
  const char* call;
  int code;
  const char* kind;   // exit code
  const char* names;  // what the message has
};

void PrintTo(const CallCase& test, std::ostream* out) { *out << test.call; }

class NcclCallFails : public NcclTest, public testing::WithParamInterface<CallCase> {};

// One rank's call is refused: that rank says which and why; the others end too, by its failure or at the deadline.
TEST_P(NcclCallFails, NamedAndNobodyHangs) {
  const CallCase& test = GetParam();
  cuda_double::Inject({.call = test.call, .device = 1, .code = test.code});
  const auto begin = std::chrono::steady_clock::now();
  const auto endings = Endings(3, ShortOptions(), UseAll);
  EXPECT_THAT(endings[1], AllOf(HasSubstr(test.kind), HasSubstr(test.names)));
  EXPECT_NE(endings[0], "");
  EXPECT_NE(endings[2], "");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

INSTANTIATE_TEST_SUITE_P(
    Calls, NcclCallFails,
    testing::Values(
        CallCase{"ncclCommInitRankConfig", ncclSystemError, "76", "ncclCommInitRankConfig failed"},
        CallCase{"ncclAllReduce", ncclUnhandledCudaError, "76",
                 "ncclAllReduce (AllReduce, call 2: sum of 48 float32, at "},
        CallCase{"ncclReduceScatter", ncclInternalError, "76",
                 "ncclReduceScatter (ReduceScatter, call 3: sum of 48 float32, at "},
        CallCase{"ncclAllGather", ncclInvalidUsage, "76", "(AllGather, call 4: 48 float32, at "},
        CallCase{"ncclBroadcast", ncclRemoteError, "76", "Another rank has failed"},
        CallCase{"ncclGroupStart", ncclInternalError, "76", "ncclGroupStart"},
        CallCase{"ncclGroupEnd", ncclSystemError, "76", "ncclGroupEnd of 1 collectives"},
        CallCase{"ncclCommWindowRegister", ncclSystemError, "76", "NCCL_WIN_ENABLE=0"},
        CallCase{"ncclCommFinalize", ncclSystemError, "76", "ncclCommFinalize failed"},
        CallCase{"ncclCommDestroy", ncclSystemError, "76", "ncclCommDestroy failed"},
        CallCase{"ncclMemAlloc", ncclUnhandledCudaError, "78",
                 "rank 1: not enough memory on cuda:1"},
        CallCase{"ncclGetVersion", ncclSystemError, "76", "ncclGetVersion failed"},
        CallCase{"ncclCommGetAsyncError", ncclInternalError, "76", "internal error"},
        CallCase{"cudaStreamCreateWithPriority", cudaErrorMemoryAllocation, "78", "out of memory"},
        CallCase{"cudaEventCreateWithFlags", cudaErrorMemoryAllocation, "78",
                 "smaller micro-batches"},
        CallCase{"cudaEventQuery", cudaErrorIllegalAddress, "76",
                 "was lost by the device: an illegal memory access was encountered "
                 "(cudaErrorIllegalAddress). See the kernel log"},
        CallCase{"cudaEventRecord", cudaErrorIllegalAddress, "78", "an illegal memory access"},
        CallCase{"cudaMemset", cudaErrorIllegalAddress, "78", "cudaMemset failed"}),
    [](const auto& parameters) { return std::string(parameters.param.call); });

// The rank whose call fails stands in a group that nobody ends: what it had queued is never launched, and all of it can go.
TEST_F(NcclFailure, ACallThatFailsInsideAGroupIsNamedAndAllIsGivenBack) {
  cuda_double::Inject(
      {.call = "ncclAllGather", .device = 1, .number = 2, .code = ncclInternalError});
  const auto begin = std::chrono::steady_clock::now();
  const auto endings = Endings(3, ShortOptions(), [](World& world) {
    Memory memory = world.data->Allocate(4096);
    const Buffer all{memory.data(), 48, DType::kFloat32, world.device};
    Buffer mine = all;
    mine.data = static_cast<float*>(all.data) + 16 * world.rank();
    mine.count = 16;
    std::string failure;
    try {
      world.data->BeginGroup();
      for (int i = 0; i < 3; ++i) world.data->AllGather(mine, all, Stream{});
      world.data->EndGroup();
    } catch (const Error& error) {
      failure = error.what();
    }
    EXPECT_NE(failure, "");
    memory = Memory();
    EXPECT_THROW(world.data->Barrier(), Error);
    world.data.reset();
    throw Error(ErrorKind::kCommunication, failure);
  });
  EXPECT_THAT(endings[1], AllOf(StartsWith("76 rank 1 on "), HasSubstr("internal error"),
                                HasSubstr("ncclAllGather (AllGather, call 2: 48 float32, at nccl/"
                                          "nccl_failure_test.cpp:")));
  for (const int rank : {0, 2}) {
    EXPECT_THAT(endings[static_cast<size_t>(rank)],
                AllOf(HasSubstr("ncclGroupEnd of 3 collectives"), HasSubstr("has not finished")));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST_F(NcclFailure, TheIdThatRankZeroCannotMakeEndsAll) {
  cuda_double::Inject({.call = "ncclGetUniqueId", .code = ncclSystemError});
  EXPECT_THAT(Endings(3, PatientOptions(), UseAll),
              Each(AllOf(HasSubstr("ncclGetUniqueId failed"), HasSubstr("NCCL_SOCKET_IFNAME"))));
}

TEST_F(NcclFailure, ARankThatNeverComesEndsTheInitAtItsDeadline) {
  cuda_double::Inject(
      {.call = "ncclCommInitRankConfig", .kind = FaultKind::kNeverArrives, .device = 2});
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(Endings(4, ShortOptions(), UseAll),
              Each(AllOf(HasSubstr("ncclCommInitRankConfig has not finished after 0.3 s"),
                         HasSubstr("one of the 4 ranks"), HasSubstr("NCCL_SOCKET_IFNAME"))));
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_GT(took, std::chrono::milliseconds(300));
  EXPECT_LT(took, std::chrono::seconds(10));
}

TEST_F(NcclFailure, ARankThatNeverComesToACollectiveIsNoticedByTheOthers) {
  cuda_double::Inject({.call = "ncclReduceScatter", .kind = FaultKind::kNeverArrives, .device = 0});
  EXPECT_THAT(
      Endings(3, ShortOptions(), UseAll),
      Each(AllOf(
          StartsWith("76 "),
          HasSubstr("ReduceScatter, call 3: sum of 48 float32, at nccl/nccl_failure_test.cpp:"),
          HasSubstr("has not ended"), HasSubstr("whose log stops first"))));
}

// It has gone to another collective instead, or died: the others' kernels spin until the abort.
TEST_F(NcclFailure, ARankThatLeavesIsNoticedByTheOthers) {
  const auto endings = Endings(3, ShortOptions(), [](World& world) {
    if (world.rank() == 1) throw Error(ErrorKind::kBadData, "this rank has had enough");
    UseAll(world);
  });
  EXPECT_THAT(endings[1], HasSubstr("had enough"));
  EXPECT_THAT(endings[0], StartsWith("76 "));
  EXPECT_THAT(endings[2], StartsWith("76 "));
}

TEST_F(NcclFailure, AnErrorThatShowsUpLaterIsFoundWithoutACall) {
  cuda_double::Inject({.call = "ncclAllReduce",
                       .kind = FaultKind::kFailLater,
                       .device = 0,
                       .code = ncclRemoteError});
  RunNcclWorld(2, PatientOptions(), [](World& world) {
    Memory memory = world.data->Allocate(64);
    const Buffer buffer{memory.data(), 16, DType::kFloat32, world.device};
    const ComputeStream compute(world.device);
    Gate gate;  // first it is launched, then it fails
    Launch(world.data->stream(), [&] { gate.Pass(); });
    world.data->AllReduce(buffer, ReduceOp::kSum, Stream{});
    gate.Open();
    Wait(compute.get(), Record(world.data->stream()));
    Gate released;
    Launch(compute.get(), [&] { released.Open(); });
    // The other rank is aborted by hand, as main would do it.
    if (world.rank() == 1) world.data->Abort("rank 0 has failed");
    EXPECT_TRUE(released.Pass()) << "the device still waits for a collective that never ends";
    try {
      world.data->AllReduce(buffer, ReduceOp::kSum, Stream{});
      ADD_FAILURE() << "a failed communicator was used again";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
      EXPECT_THAT(error.what(), HasSubstr(world.rank() == 0 ? "the network went away" : "aborted"));
    }
    // The first reason stays.
    try {
      world.data->Barrier();
      ADD_FAILURE() << "a failed communicator was used again";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(world.rank() == 0 ? "the network went away" : "aborted"));
    }
  });
}

TEST_F(NcclFailure, AnInitErrorThatShowsUpLaterIsTheInits) {
  cuda_double::Inject({.call = "ncclCommInitRankConfig",
                       .kind = FaultKind::kFailLater,
                       .device = 1,
                       .code = ncclSystemError});
  const auto endings = Endings(2, ShortOptions(), UseAll);
  EXPECT_THAT(endings[1], HasSubstr("ncclCommInitRankConfig failed"));
}

TEST_F(NcclFailure, AbortHandsTheReasonOnAndStopsTheDevice) {
  std::mutex mutex;
  std::vector<std::string> ended;
  RunThreadWorld(2, [&](World& world) {
    MoveToDouble(world, PatientOptions(), world.rank(), [&](std::string_view reason) {
      const std::lock_guard lock(mutex);
      ended.emplace_back(reason);
    });
    const ComputeStream compute(world.device);
    Memory memory = world.data->Allocate(64);
    const Buffer buffer{memory.data(), 16, DType::kFloat32, world.device};
    world.data->AllReduce(buffer, ReduceOp::kSum, Stream{});
    // To the second only one rank comes.
    if (world.rank() == 0) world.data->AllReduce(buffer, ReduceOp::kSum, Stream{});
    Wait(compute.get(), Record(world.data->stream()));
    std::thread([&] { world.data->Abort("no more"); }).join();
    compute.Synchronize();
    EXPECT_THROW(world.data->Barrier(), Error);
  });
  EXPECT_THAT(ended, testing::ElementsAre("no more", "no more"));
}

// The first collective connects the ranks, and the host waits for that.
TEST_F(NcclFailure, AbortFromAnotherThreadFreesACallThatWaits) {
  EXPECT_THAT(Endings(2, PatientOptions(),
                      [](World& world) {
                        Memory memory = world.data->Allocate(64);
                        if (world.rank() == 1) return world.data->Abort("rank 1 has had enough");
                        std::thread other([&] {
                          EXPECT_TRUE(Eventually(
                              [] { return cuda_double::NumCalls("ncclAllReduce") == 1; }));
                          world.data->Abort("no more");
                        });
                        try {
                          world.data->AllReduce({memory.data(), 16, DType::kFloat32, world.device},
                                                ReduceOp::kSum, Stream{});
                        } catch (...) {
                          other.join();
                          throw;
                        }
                        other.join();
                      }),
              testing::ElementsAre(HasSubstr("aborted: no more"), ""));
}

// ncclCommAbort itself has been seen to hang.
TEST_F(NcclFailure, AnAbortThatHangsIsLeftBehind) {
  NcclOptions options = PatientOptions();
  options.abort_timeout_seconds = 0.2;
  cuda_double::Inject({.call = "ncclCommAbort", .kind = FaultKind::kHang, .device = 0});
  const auto begin = std::chrono::steady_clock::now();
  RunNcclWorld(1, options, [](World& world) { world.data->Abort("no more"); });
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST_F(NcclFailure, WhatIsDroppedWithoutCloseIsAborted) {
  RunNcclWorld(2, PatientOptions(), [](World& world) { world.control->Barrier(); });
  EXPECT_EQ(cuda_double::NumCalls("ncclCommAbort"), 2);
  EXPECT_EQ(cuda_double::NumCalls("ncclCommDestroy"), 0);
}

TEST_F(NcclFailure, CloseWaitsForWorkAndNotForEver) {
  cuda_double::Inject({.call = "ncclCommFinalize", .kind = FaultKind::kNeverArrives, .device = 1});
  EXPECT_THAT(Endings(3, ShortOptions(), UseAll),
              Each(HasSubstr("ncclCommFinalize has not finished after 0.3 s")));
}

TEST_F(NcclFailure, MemoryMustBeReleasedBeforeClose) {
  EXPECT_THAT(Endings(1, PatientOptions(),
                      [](World& world) {
                        const Memory memory = world.data->Allocate(64);
                        world.Close();
                      }),
              Each(AllOf(StartsWith("70 "), HasSubstr("1 blocks of memory still in use"))));
}

TEST_F(NcclFailure, TwoRanksOnOneDeviceAreRefusedByNcclToo) {
  EXPECT_THAT(Endings(2, ShortOptions(), UseAll, [](int) { return 0; }),
              Each(AllOf(HasSubstr("76 "), HasSubstr("most often two ranks use one GPU"))));
}

TEST_F(NcclFailure, FaultPointsWorkAsInOtherBackEnds) {
  SetFaults("comm.all_reduce:1=throw");
  const auto endings = Endings(2, ShortOptions(), UseAll);
  SetFaults("");
  EXPECT_THAT(endings[1], HasSubstr("injected fault at comm.all_reduce"));
}

TEST_F(NcclFailure, AnotherMajorVersionIsRefused) {
  cuda_double::SetNcclVersion(30100);
  EXPECT_THAT(Endings(2, PatientOptions(), UseAll),
              Each(AllOf(HasSubstr("78 "), HasSubstr("NCCL 3.1.0 is loaded"),
                         HasSubstr("LD_LIBRARY_PATH"))));
}

TEST_F(NcclFailure, RanksWithDifferentVersionsAreNamed) {
  cuda_double::SetNcclVersion(NCCL_VERSION(2, 28, 9), 1);
  EXPECT_THAT(Endings(3, PatientOptions(), UseAll),
              Each(AllOf(HasSubstr("78 "), HasSubstr("2.28.9"), HasSubstr("rank 1"))));
}

TEST(NcclVersions, AreJudged) {
  const int compiled = NCCL_VERSION(2, 28, 9);
  const auto judge = [&](int loaded) { return JudgeNcclVersions({loaded, compiled}); };
  EXPECT_EQ(judge(compiled).message, "");
  EXPECT_EQ(judge(NCCL_VERSION(2, 28, 3)).message, "");  // another patch
  EXPECT_EQ(judge(NCCL_VERSION(2, 30, 7)).message, "");
  EXPECT_THAT(judge(NCCL_VERSION(2, 27, 5)).message, HasSubstr("2.27.5 is loaded"));
  EXPECT_FALSE(judge(NCCL_VERSION(2, 27, 5)).fatal);
  EXPECT_TRUE(judge(NCCL_VERSION(2, 18, 6)).fatal);
  EXPECT_TRUE(judge(NCCL_VERSION(3, 0, 0)).fatal);
}

}  // namespace
}  // namespace breakeven
