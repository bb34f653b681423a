// Ranks as threads, each on a device of the double, with the nccl_ back end between them.
#ifndef BREAKEVEN_TESTS_NCCL_NCCL_WORLD_H_
#define BREAKEVEN_TESTS_NCCL_NCCL_WORLD_H_

#include <cuda_runtime_api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "comm/device_cuda.h"
#include "comm/nccl_communicator.h"
#include "comm/world.h"
#include "tests/support/cuda_double/cuda_double.h"

namespace breakeven {

// Patience that a healthy run never needs, and a watch that looks often.
inline NcclOptions PatientOptions() {
  return {.init_timeout_seconds = 60,
          .collective_timeout_seconds = 60,
          .close_timeout_seconds = 60,
          .abort_timeout_seconds = 30,
          .watch_interval_seconds = 0.002};
}

inline NcclOptions ShortOptions() {
  NcclOptions options = PatientOptions();
  options.init_timeout_seconds = 0.3;
  options.collective_timeout_seconds = 0.3;
  options.close_timeout_seconds = 0.3;
  return options;
}

// Puts the nccl_ back end into a world of threads.
inline void MoveToDouble(World& world, const NcclOptions& options, int device,
                         std::function<void(std::string_view)> end_job = nullptr) {
  world.device = Device{device};
  if (end_job == nullptr) end_job = [](std::string_view) {};
  world.data =
      MakeNcclCommunicator(world.control->Duplicate(), world.device, options, std::move(end_job));
}

// As RunThreadWorld, with rank r on device r.
inline void RunNcclWorld(int size, const NcclOptions& options,
                         const std::function<void(World&)>& body) {
  RunThreadWorld(size, [&](World& world) {
    MoveToDouble(world, options, world.rank());
    body(world);
  });
}

// How each rank ended: "" or "<exit code> <message>".
inline std::vector<std::string> Endings(
    int size, const NcclOptions& options, const std::function<void(World&)>& body,
    const std::function<int(int)>& device_of = [](int rank) { return rank; }) {
  std::vector<std::string> endings(static_cast<size_t>(size));
  try {
    RunThreadWorld(size, [&](World& world) {
      try {
        MoveToDouble(world, options, device_of(world.rank()));
        body(world);
      } catch (const Error& error) {
        endings[static_cast<size_t>(world.rank())] =
            std::to_string(error.exit_code()) + ' ' + error.what();
        throw;
      }
    });
  } catch (const Error&) {
    // Each rank's own is in its place.
  }
  return endings;
}

// Queues a function on a stream, as a kernel would be.
inline void Launch(Stream stream, std::function<void()> work) {
  UseCudaDevice(stream.device);
  auto* function = new std::function<void()>(std::move(work));
  CheckCuda(cudaLaunchHostFunc(
                static_cast<cudaStream_t>(stream.handle),
                [](void* data) {
                  const std::unique_ptr<std::function<void()>> owned(
                      static_cast<std::function<void()>*>(data));
                  (*owned)();
                },
                function),
            "cudaLaunchHostFunc");
}

// What stands still until it is opened, ten seconds at the most: a test that goes wrong ends.
class Gate {
 public:
  void Open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  bool Pass() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

// A stream of the test's own: what backward runs on.
class ComputeStream {
 public:
  explicit ComputeStream(Device device) : stream_{nullptr, device} {
    UseCudaDevice(device);
    cudaStream_t handle = nullptr;
    CheckCuda(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking), "cudaStreamCreate");
    stream_.handle = handle;
  }
  ~ComputeStream() { cudaStreamDestroy(static_cast<cudaStream_t>(stream_.handle)); }
  ComputeStream(const ComputeStream&) = delete;
  ComputeStream& operator=(const ComputeStream&) = delete;
  Stream get() const { return stream_; }
  void Synchronize() const { cudaStreamSynchronize(static_cast<cudaStream_t>(stream_.handle)); }

 private:
  Stream stream_;
};

// Waits until `condition` holds; false after ten seconds.
inline bool Eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 10000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

class NcclTest : public testing::Test {
 protected:
  void SetUp() override {
    SetLogQuiet(true);
    cuda_double::Reset(5);
  }
  void TearDown() override {
    cuda_double::ReleaseHung();
    EXPECT_THAT(cuda_double::Complaints(), testing::IsEmpty());
  }
};

}  // namespace breakeven

#endif  // BREAKEVEN_TESTS_NCCL_NCCL_WORLD_H_
