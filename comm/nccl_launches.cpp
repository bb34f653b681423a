#include "comm/nccl_launches.h"

#include <cuda_runtime_api.h>

#include "comm/device_cuda.h"

namespace breakeven {

std::string Describe(const NcclLaunch& launch) {
  return std::string(launch.function) + " (" + launch.call.Text() + ", at " + launch.call.Site() +
         ')';
}

NcclLaunches::~NcclLaunches() {
  for (const Pending& pending : pending_) cudaEventDestroy(pending.event);
  for (CUevent_st* event : free_) cudaEventDestroy(event);
}

void NcclLaunches::Add(const NcclLaunch& launch, Stream stream) {
  Pending pending{launch, TakeFree(), Clock::now()};
  // Without the mutex: where the device's queue is full behind a collective that hangs, these block, and who is to find that
  // one must not block with them.
  if (pending.event == nullptr) {
    CheckCuda(cudaEventCreateWithFlags(&pending.event, cudaEventDisableTiming),
              "cudaEventCreateWithFlags");
  }
  const int result = cudaEventRecord(pending.event, static_cast<cudaStream_t>(stream.handle));
  {
    const std::lock_guard lock(mutex_);
    if (result == cudaSuccess) {
      pending_.push_back(pending);
    } else {
      free_.push_back(pending.event);
    }
  }
  CheckCuda(result, "cudaEventRecord");
}

CUevent_st* NcclLaunches::TakeFree() {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) return nullptr;
  CUevent_st* const event = free_.back();
  free_.pop_back();
  return event;
}

std::string NcclLaunches::FindOverdue(double timeout_seconds) {
  const std::lock_guard lock(mutex_);
  while (!pending_.empty()) {
    const Pending& oldest = pending_.front();
    const cudaError_t state = cudaEventQuery(oldest.event);
    if (state == cudaErrorNotReady) {
      cudaGetLastError();
      const double seconds = std::chrono::duration<double>(Clock::now() - oldest.since).count();
      if (seconds < timeout_seconds) return "";
      return Describe(oldest.launch) + " was launched " + std::to_string(seconds) +
             " s ago and has not ended: a rank has not come to it, or works on something else. "
             "Look for the rank whose log stops first; NCCL_DEBUG=INFO shows broken connections.";
    }
    if (state != cudaSuccess) {
      cudaGetLastError();
      return Describe(oldest.launch) + " was lost by the device: " + cudaGetErrorString(state) +
             " (" + cudaGetErrorName(state) + "). See the kernel log (dmesg, Xid messages).";
    }
    free_.push_back(oldest.event);
    pending_.pop_front();
  }
  return "";
}

bool NcclLaunches::empty() {
  const std::lock_guard lock(mutex_);
  return pending_.empty();
}

}  // namespace breakeven
