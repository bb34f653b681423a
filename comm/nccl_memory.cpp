#include "comm/nccl_memory.h"

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "comm/device_cuda.h"
#include "comm/nccl_check.h"

namespace breakeven {
namespace {

constexpr int64_t kMostBytes = int64_t{1}
                               << 46;  // no device has 64 TiB: a size beyond is a mistake

std::string MemoryNow() {
  size_t free = 0;
  size_t total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) {
    cudaGetLastError();
    return "";
  }
  return " (" + std::to_string(free >> 20) + " of " + std::to_string(total >> 20) +
         " MiB are free)";
}

// Where NCCL may still put a window, in a thread of its own that nobody has stopped: never freed.
void KeepForGood(std::unique_ptr<ncclWindow_t> slot) {
  static std::mutex mutex;
  static auto* const kept = new std::vector<std::unique_ptr<ncclWindow_t>>;
  const std::lock_guard lock(mutex);
  kept->push_back(std::move(slot));
}

}  // namespace

NcclBlock::NcclBlock(Control& control, NcclLink& link, Device device, int64_t num_bytes,
                     bool* use_windows, double timeout_seconds)
    : link_(link), device_(device), timeout_seconds_(timeout_seconds) {
  BE_CHECK(num_bytes >= 0, "size " + std::to_string(num_bytes));
  // A window begins and ends on its required alignment, and NCCL gives nothing for nothing.
  constexpr int64_t kUnit = NCCL_WIN_REQUIRED_ALIGNMENT;
  const int64_t size = (std::max<int64_t>(num_bytes, 1) + kUnit - 1) / kUnit * kUnit;
  try {
    RunTogether(control, /*root_only=*/false, [&] {
      if (num_bytes > kMostBytes) {
        throw Error(ErrorKind::kMachine, "not enough memory: " + std::to_string(num_bytes) +
                                             " bytes in one block are more than any device has");
      }
      AllocateZeroed(static_cast<size_t>(size));
    });
    if (*use_windows) RegisterWindow(control, static_cast<size_t>(size), use_windows);
    if (window_ == nullptr) {
      link_.Run(
          [&](ncclComm* comm) {
            return ncclCommRegister(comm, data_, static_cast<size_t>(size), &registration_);
          },
          [] { return std::string("ncclCommRegister"); }, timeout_seconds_);
    }
  } catch (...) {
    Release();
    throw;
  }
}

NcclBlock::~NcclBlock() { Release(); }

void NcclBlock::AllocateZeroed(size_t size) {
  UseCudaDevice(device_);
  size_ = size;
  if (ncclMemAlloc(&data_, size) != ncclSuccess) {
    data_ = nullptr;
    cudaGetLastError();
    throw Error(ErrorKind::kMachine,
                "not enough memory on cuda:" + std::to_string(device_.index) + ": " +
                    std::to_string(size) + " bytes in one block were refused" + MemoryNow() +
                    ". Use smaller micro-batches, a smaller model or more ranks, and see in "
                    "nvidia-smi who else uses the device.");
  }
  CheckCuda(cudaMemset(data_, 0, size), "cudaMemset");
  // cudaMemset only queues; who gets the block may use it on any stream.
  CheckCuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
}

void NcclBlock::RegisterWindow(Control& control, size_t size, bool* use_windows) {
  // Filled in when all ranks have come: where they come behind the deadline, that is after Run has thrown.
  auto slot = std::make_unique<ncclWindow_t>(nullptr);
  try {
    link_.Run(
        [&](ncclComm* comm) {
          return ncclCommWindowRegister(comm, data_, size, slot.get(), NCCL_WIN_COLL_SYMMETRIC);
        },
        [] { return std::string("ncclCommWindowRegister (NCCL_WIN_ENABLE=0 does without)"); },
        timeout_seconds_);
  } catch (...) {
    if (link_.AbortWasLeftBehind()) KeepForGood(std::move(slot));
    throw;
  }
  const ncclWindow_t window = *slot;
  window_ = window;
  // All or none: NCCL's behaviour is undefined where only some ranks pass registered memory.
  if (control.AllReduce(int64_t{window_ != nullptr}, ReduceOp::kMin) == 1) return;
  *use_windows = false;
  if (window_ != nullptr) {
    link_.Run([&](ncclComm* comm) { return ncclCommWindowDeregister(comm, window); },
              [] { return std::string("ncclCommWindowDeregister"); }, timeout_seconds_);
    window_ = nullptr;
  }
  LogInfo("NCCL has no symmetric memory windows on these devices: buffers are registered singly");
}

void NcclBlock::Release() noexcept {
  if (data_ == nullptr) return;
  try {
    UseCudaDevice(device_);
    if (window_ != nullptr && !link_.LooksFailed(/*log=*/false)) {
      link_.Run(
          [&](ncclComm* comm) {
            return ncclCommWindowDeregister(comm, static_cast<ncclWindow_t>(window_));
          },
          [] { return std::string("ncclCommWindowDeregister"); }, timeout_seconds_);
    }
    if (registration_ != nullptr && !link_.LooksFailed(/*log=*/false)) {
      link_.Run([&](ncclComm* comm) { return ncclCommDeregister(comm, registration_); },
                [] { return std::string("ncclCommDeregister"); }, timeout_seconds_);
    }
  } catch (const std::exception& error) {
    LogWarning(error.what());
  }
  // A kernel that nobody stopped may be at work on it, and the process is to end.
  if (link_.AbortWasLeftBehind()) return;
  const int result = ncclMemFree(data_);
  if (result != ncclSuccess) {
    cudaGetLastError();
    LogWarning(
        DescribeNcclFailure(result, "ncclMemFree", nullptr, std::source_location::current()) + " " +
        std::to_string(size_) + " bytes on cuda:" + std::to_string(device_.index) +
        " stay taken until the process ends.");
  }
  data_ = nullptr;
}

}  // namespace breakeven
