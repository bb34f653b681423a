// Memory that NCCL reduces in place: registered while it lives, on every rank alike, and given back.
#include "comm/nccl_memory.h"

#include <gtest/gtest.h>
#include <nccl.h>

#include <algorithm>
#include <string>
#include <vector>

#include "comm/control.h"
#include "comm/nccl_link.h"
#include "tests/nccl/nccl_world.h"

namespace breakeven {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::StartsWith;

class NcclMemory : public NcclTest {};

void AllocateTwice(World& world) {
  Memory a = world.data->Allocate(1 << 20);
  Memory b = world.data->Allocate(100);
  a = Memory();
  b = Memory();
  world.Close();
}

TEST_F(NcclMemory, IsAWindowWhereEveryRankHasThem) {
  RunNcclWorld(3, PatientOptions(), AllocateTwice);
  EXPECT_EQ(cuda_double::NumCalls("ncclCommWindowRegister"), 3 * 2);
  EXPECT_EQ(cuda_double::NumCalls("ncclCommRegister"), 0);
}

// One rank without windows means none: NCCL's behaviour with some is undefined. And nobody asks again.
TEST_F(NcclMemory, IsRegisteredSinglyWhereOneRankHasNoWindows) {
  cuda_double::SetWindowSupport(false, 1);
  RunNcclWorld(3, PatientOptions(), AllocateTwice);
  EXPECT_EQ(cuda_double::NumCalls("ncclCommWindowRegister"), 3);
  EXPECT_EQ(cuda_double::NumCalls("ncclCommRegister"), 3 * 2);
}

TEST_F(NcclMemory, IsRegisteredSinglyByANcclThatHasNoWindows) {
  cuda_double::SetNcclVersion(NCCL_VERSION(2, 26, 2));
  RunNcclWorld(2, PatientOptions(), AllocateTwice);
  EXPECT_EQ(cuda_double::NumCalls("ncclCommWindowRegister"), 0);
  EXPECT_EQ(cuda_double::NumCalls("ncclCommRegister"), 2 * 2);
}

TEST_F(NcclMemory, TooLittleOnOneRankIsAnErrorOfAll) {
  cuda_double::Reset({{.pci_bus_id = "0000:01:00.0"},
                      {.pci_bus_id = "0000:02:00.0", .memory_bytes = 8 << 20},
                      {.pci_bus_id = "0000:03:00.0"}});
  EXPECT_THAT(Endings(3, PatientOptions(),
                      [](World& world) {
                        const Memory fits = world.data->Allocate(4 << 20);
                        world.data->Allocate(6 << 20);
                      }),
              Each(AllOf(HasSubstr("78 rank 1: not enough memory on cuda:1: 6291456 bytes"),
                         HasSubstr("(4 of 8 MiB are free)"), HasSubstr("nvidia-smi"))));
}

TEST_F(NcclMemory, AnAbsurdSizeIsTheMachinesLimit) {
  EXPECT_THAT(
      Endings(2, PatientOptions(), [](World& world) { world.data->Allocate(int64_t{1} << 50); }),
      Each(HasSubstr("more than any device has")));
}

// The rank says so; what it had allocated is given back, and the others end at their deadline.
TEST_F(NcclMemory, ThatCannotBeRegisteredIsAnErrorAndFreed) {
  cuda_double::SetWindowSupport(false);
  cuda_double::Inject({.call = "ncclCommRegister", .device = 1, .code = ncclSystemError});
  const auto endings = Endings(2, ShortOptions(), [](World& world) {
    const Memory memory = world.data->Allocate(4096);
    world.data->AllReduce({memory.data(), 16, DType::kFloat32, world.device}, ReduceOp::kSum,
                          Stream{});
    world.data->Barrier();
  });
  EXPECT_THAT(endings[1],
              AllOf(StartsWith("76 rank 1 on "), HasSubstr("cuda:1: ncclCommRegister failed"),
                    HasSubstr("unhandled system error"), HasSubstr("NCCL_DEBUG")));
  EXPECT_THAT(endings[0], StartsWith("76 "));
}

// It cannot be helped and harms nobody but the memory: a warning, and the run ends well.
TEST_F(NcclMemory, ThatCannotBeFreedIsAWarning) {
  cuda_double::Inject({.call = "ncclMemFree", .device = 1, .code = ncclUnhandledCudaError});
  testing::internal::CaptureStderr();
  const auto endings = Endings(2, PatientOptions(), AllocateTwice);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              AllOf(HasSubstr("ncclMemFree failed"), HasSubstr("unhandled cuda error"),
                    HasSubstr("1048576 bytes on cuda:1")));
  EXPECT_THAT(endings, Each(""));
  EXPECT_EQ(cuda_double::NumCalls("ncclMemFree"), 2 * 2) << "tried once, and not given up for one";
  EXPECT_THAT(cuda_double::Complaints(),
              testing::ElementsAre("1048576 bytes of device 1 never freed"));
  cuda_double::Reset(5);
}

// What cannot be deregistered is freed all the same: the abort has taken NCCL's hands off it.
TEST_F(NcclMemory, ThatCannotBeDeregisteredIsAborted) {
  cuda_double::Inject({.call = "ncclCommWindowDeregister", .device = 1, .code = ncclInternalError});
  const auto endings = Endings(2, ShortOptions(), AllocateTwice);
  EXPECT_THAT(endings[1], AllOf(StartsWith("76 "), HasSubstr("ncclCommWindowDeregister failed")));
  EXPECT_THAT(endings[0], StartsWith("76 "));
}

// NCCL fills in a window when the last rank has come. Where that is behind the deadline, and the abort hangs, whoever waited
// for it has thrown: AddressSanitizer sees whether its place is still there.
TEST_F(NcclMemory, AWindowThatComesLateStillHasItsPlace) {
  cuda_double::Inject(
      {.call = "ncclCommAbort", .kind = cuda_double::FaultKind::kHang, .device = 0});
  const std::string id = NcclLink::MakeId();
  Gate given_up;
  RunThreadWorld(2, [&](World& world) {
    const Device device{world.rank()};
    UseCudaDevice(device);
    NcclLink link("here", device, /*abort_timeout_seconds=*/world.rank() == 0 ? 0.2 : 30);
    link.Open(id, 2, world.rank(), 60);
    if (world.rank() == 0) {
      bool use_windows = true;
      try {
        const NcclBlock block(*world.control, link, device, 4096, &use_windows, 0.3);
        ADD_FAILURE() << "a window without the other rank's";
      } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("ncclCommWindowRegister"));
        EXPECT_THAT(error.what(), HasSubstr("has not finished after 0.3 s"));
      }
      given_up.Open();
      return;
    }
    // The same by hand, but late.
    void* data = nullptr;
    RunTogether(*world.control, /*root_only=*/false,
                [&] { ASSERT_EQ(ncclMemAlloc(&data, 4096), ncclSuccess); });
    EXPECT_TRUE(given_up.Pass());
    ncclWindow_t window = nullptr;
    link.Run(
        [&](ncclComm* comm) {
          return ncclCommWindowRegister(comm, data, 4096, &window, NCCL_WIN_COLL_SYMMETRIC);
        },
        [] { return std::string("the late one"); }, 60);
    EXPECT_TRUE(window != nullptr);
    EXPECT_TRUE(Eventually([] {
      const std::vector<cuda_double::Span> spans = cuda_double::Trace();
      return std::count_if(spans.begin(), spans.end(), [](const cuda_double::Span& span) {
               return span.what == "ncclCommWindowRegister" && span.end != 0;
             }) == 2;
    })) << "the double has not filled in both";
    link.Run([&](ncclComm* comm) { return ncclCommWindowDeregister(comm, window); },
             [] { return std::string("ncclCommWindowDeregister"); }, 60);
    EXPECT_EQ(ncclMemFree(data), ncclSuccess);
  });
  cuda_double::ReleaseHung();
  EXPECT_THAT(cuda_double::Complaints(),
              testing::ElementsAre("4096 bytes of device 0 never freed"));
  cuda_double::Reset(5);
}

// After a failure memory is freed all the same, without touching the aborted communicator.
TEST_F(NcclMemory, OutlivesAFailure) {
  RunNcclWorld(2, PatientOptions(), [](World& world) {
    Memory memory = world.data->Allocate(4096);
    world.data->Abort("no more");
    memory = Memory();
  });
}

// Where the abort itself hangs, kernels may still run: what they write is not given to anybody else.
TEST_F(NcclMemory, IsKeptWhereTheAbortDidNotEnd) {
  NcclOptions options = PatientOptions();
  options.abort_timeout_seconds = 0.2;
  cuda_double::Inject({.call = "ncclCommAbort", .kind = cuda_double::FaultKind::kHang});
  RunNcclWorld(1, options, [](World& world) {
    Memory memory = world.data->Allocate(4096);
    world.data->Abort("no more");
    memory = Memory();
  });
  EXPECT_EQ(cuda_double::NumCalls("ncclMemFree"), 0);
  cuda_double::ReleaseHung();
  EXPECT_THAT(cuda_double::Complaints(),
              testing::ElementsAre("4096 bytes of device 0 never freed"));
  cuda_double::Reset(5);
}

}  // namespace
}  // namespace breakeven
