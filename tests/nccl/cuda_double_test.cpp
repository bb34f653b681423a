// The double itself: what a test that trusts it must be able to rely on.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>
#include <nccl.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/nccl/nccl_world.h"

namespace breakeven {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class CudaDouble : public testing::Test {
 protected:
  void SetUp() override { cuda_double::Reset(2); }
};

TEST_F(CudaDouble, StreamsDoTheirWorkLaterInOrderAndBesideEachOther) {
  {
    const ComputeStream a(Device{0});
    const ComputeStream b(Device{0});
    Gate gate;
    std::vector<int> order;
    Launch(a.get(), [&] { gate.Pass(); });
    Launch(a.get(), [&] { order.push_back(1); });
    Launch(a.get(), [&] { order.push_back(2); });
    std::atomic<bool> b_ran{false};
    Launch(b.get(), [&] { b_ran = true; });
    b.Synchronize();
    EXPECT_TRUE(b_ran);
    gate.Open();
    a.Synchronize();
    EXPECT_THAT(order, ElementsAre(1, 2));
  }
  EXPECT_THAT(cuda_double::Complaints(), IsEmpty());
}

TEST_F(CudaDouble, EventsAreReadyWhenTheStreamHasComeThere) {
  const ComputeStream stream(Device{0});
  cudaEvent_t event = nullptr;
  ASSERT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
  EXPECT_EQ(cudaEventQuery(event), cudaSuccess) << "never recorded";
  Gate gate;
  Launch(stream.get(), [&] { gate.Pass(); });
  ASSERT_EQ(cudaEventRecord(event, static_cast<cudaStream_t>(stream.get().handle)), cudaSuccess);
  EXPECT_EQ(cudaEventQuery(event), cudaErrorNotReady);
  gate.Open();
  stream.Synchronize();
  EXPECT_EQ(cudaEventQuery(event), cudaSuccess);
  cudaEventDestroy(event);
}

TEST_F(CudaDouble, FreshMemoryIsNotZeroAndHasAnEnd) {
  cuda_double::Reset({{.pci_bus_id = "0000:01:00.0", .memory_bytes = 4096}});
  void* data = nullptr;
  ASSERT_EQ(cudaMalloc(&data, 100), cudaSuccess);
  EXPECT_NE(static_cast<char*>(data)[7], 0);
  EXPECT_EQ(cudaMemset(data, 0, 101), cudaErrorInvalidValue);
  void* more = nullptr;
  EXPECT_EQ(cudaMalloc(&more, 4000), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaFree(data), cudaSuccess);
}

TEST_F(CudaDouble, SeesMisuse) {
  void* data = nullptr;
  ASSERT_EQ(cudaMalloc(&data, 100), cudaSuccess);
  EXPECT_THAT(cuda_double::Complaints(), ElementsAre("100 bytes of device 0 never freed"));
  ASSERT_NE(ncclMemFree(data), ncclSuccess);
  EXPECT_THAT(cuda_double::Complaints(), testing::Contains(HasSubstr("another family's")));
  ASSERT_EQ(cudaFree(data), cudaSuccess);

  cudaEvent_t event = nullptr;
  ASSERT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
  {
    const ComputeStream other(Device{1});
    EXPECT_NE(cudaEventRecord(event, static_cast<cudaStream_t>(other.get().handle)), cudaSuccess);
  }
  cudaEventDestroy(event);
  EXPECT_THAT(cuda_double::Complaints(), testing::Contains(HasSubstr("an event of device 0")));
}

TEST_F(CudaDouble, TimesOfAStreamAreAwaitedAndInOrder) {
  const ComputeStream stream(Device{0});
  Gate gate;
  std::atomic<bool> passed = false;
  const Event begin = RecordTime(stream.get());
  Launch(stream.get(), [&] { passed = gate.Pass(); });
  const Event end = RecordTime(stream.get());
  EXPECT_FALSE(passed);
  gate.Open();
  EXPECT_GT(SecondsBetween(begin, end), 0);
  EXPECT_TRUE(passed);
  EXPECT_EQ(SecondsBetween(RecordTime(Stream{}), RecordTime(Stream{})), 0) << "on CPU";
}

// As NCCL: an id of two ranks, the state "in progress" until both have come, and no use of it before.
TEST_F(CudaDouble, CommunicatorsAreReadyLaterAndRefuseUseBefore) {
  ncclUniqueId id;
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  const auto state_of = [](ncclComm_t comm) {
    ncclResult_t state = ncclInternalError;
    EXPECT_EQ(ncclCommGetAsyncError(comm, &state), ncclSuccess);
    return state;
  };
  ncclComm_t first = nullptr;
  ncclComm_t second = nullptr;
  ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
  ASSERT_EQ(ncclCommInitRankConfig(&first, 2, id, 0, &config), ncclInProgress);
  void* registration = nullptr;
  EXPECT_EQ(ncclCommRegister(first, nullptr, 0, &registration), ncclInvalidArgument);
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  EXPECT_EQ(state_of(first), ncclInProgress);
  ASSERT_EQ(ncclCommInitRankConfig(&second, 2, id, 1, &config), ncclInProgress);
  EXPECT_TRUE(Eventually([&] { return state_of(first) == ncclSuccess; }));
  EXPECT_TRUE(Eventually([&] { return state_of(second) == ncclSuccess; }));
  EXPECT_EQ(ncclCommAbort(first), ncclSuccess);
  EXPECT_EQ(ncclCommAbort(second), ncclSuccess);
  EXPECT_THAT(cuda_double::Complaints(), IsEmpty());
}

// One communicator of one rank, ready.
ncclComm_t OpenAlone() {
  ncclUniqueId id;
  EXPECT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t comm = nullptr;
  EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
  EXPECT_EQ(ncclCommInitRankConfig(&comm, 1, id, 0, &config), ncclInProgress);
  EXPECT_TRUE(Eventually([&] {
    ncclResult_t state = ncclInternalError;
    return ncclCommGetAsyncError(comm, &state) == ncclSuccess && state == ncclSuccess;
  }));
  return comm;
}

// As NCCL: nothing of the group is launched, its end returns what a call inside has met, and the next knows nothing of it.
TEST_F(CudaDouble, AnErrorInsideAGroupIsItsEnds) {
  const ncclComm_t comm = OpenAlone();
  void* data = nullptr;
  ASSERT_EQ(cudaMalloc(&data, 64), cudaSuccess);
  {
    const ComputeStream stream(Device{0});
    const auto gather = [&] {
      return ncclAllGather(data, data, 16, ncclFloat32, comm,
                           static_cast<cudaStream_t>(stream.get().handle));
    };
    const auto num_run = [] {
      int num = 0;
      for (const cuda_double::Span& span : cuda_double::Trace()) {
        num += span.what == "ncclAllGather" && span.end != 0;
      }
      return num;
    };
    cuda_double::Inject({.call = "ncclAllGather", .number = 2, .code = ncclInternalError});
    ASSERT_EQ(ncclGroupStart(), ncclSuccess);
    EXPECT_EQ(gather(), ncclSuccess);
    EXPECT_EQ(gather(), ncclInternalError);
    EXPECT_EQ(gather(), ncclSuccess);
    EXPECT_EQ(ncclGroupEnd(), ncclInternalError);
    ASSERT_EQ(ncclGroupStart(), ncclSuccess);
    EXPECT_EQ(gather(), ncclSuccess);
    EXPECT_EQ(ncclGroupEnd(), ncclInProgress);
    EXPECT_TRUE(Eventually([&] { return num_run() > 0; }));
    stream.Synchronize();
    EXPECT_EQ(num_run(), 1);
  }
  EXPECT_EQ(ncclCommAbort(comm), ncclSuccess);
  EXPECT_EQ(cudaFree(data), cudaSuccess);
  EXPECT_THAT(cuda_double::Complaints(), IsEmpty());
}

TEST_F(CudaDouble, SeesACommunicatorUsedAfterItsEnd) {
  const ncclComm_t comm = OpenAlone();
  EXPECT_EQ(ncclCommAbort(comm), ncclSuccess);
  EXPECT_THAT(cuda_double::Complaints(), IsEmpty());
  ncclResult_t state = ncclSuccess;
  EXPECT_EQ(ncclCommGetAsyncError(comm, &state), ncclInvalidArgument);
  EXPECT_EQ(ncclCommAbort(comm), ncclInvalidArgument);
  EXPECT_THAT(cuda_double::Complaints(),
              ElementsAre("ncclCommGetAsyncError was given a communicator that is gone",
                          "ncclCommAbort was given a communicator that is gone"));
}

// A call that hangs until the abort comes back by it; another one beside it is against the rules.
TEST_F(CudaDouble, HangsUntilTheAbortAndSeesTwoThreadsInside) {
  const ncclComm_t comm = OpenAlone();
  const int num_before = cuda_double::NumCalls("ncclCommGetAsyncError");
  cuda_double::Inject(
      {.call = "ncclCommGetAsyncError", .kind = cuda_double::FaultKind::kHangUntilAbort});
  ncclResult_t result = ncclSuccess;
  std::thread stuck([&] {
    ncclResult_t state = ncclSuccess;
    result = ncclCommGetAsyncError(comm, &state);
  });
  EXPECT_TRUE(
      Eventually([&] { return cuda_double::NumCalls("ncclCommGetAsyncError") == num_before + 1; }));
  ncclResult_t state = ncclSuccess;
  EXPECT_EQ(ncclCommGetAsyncError(comm, &state), ncclSuccess);
  EXPECT_EQ(ncclCommAbort(comm), ncclSuccess);
  stuck.join();
  EXPECT_EQ(result, ncclSystemError);
  EXPECT_THAT(
      cuda_double::Complaints(),
      ElementsAre(
          "ncclCommGetAsyncError was called while another thread was inside the communicator"));
}

}  // namespace
}  // namespace breakeven
