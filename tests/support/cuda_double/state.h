// What the double keeps: devices, memory, faults, complaints, the trace.
#ifndef BREAKEVEN_TESTS_SUPPORT_CUDA_DOUBLE_STATE_H_
#define BREAKEVEN_TESTS_SUPPORT_CUDA_DOUBLE_STATE_H_

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/cuda_double/cuda_double.h"

namespace cuda_double {

class StreamWork;

struct Allocation {
  size_t size = 0;
  int device = 0;
  bool of_nccl = false;
  int num_registrations = 0;
};

struct State {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<DeviceSpec> devices;
  std::vector<size_t> used_bytes;
  std::vector<int> nccl_versions;
  std::vector<bool> window_support;
  std::map<char*, Allocation> allocations;
  std::map<std::string, int> alive;  // "stream", "event", "communicator", "thread"
  std::vector<std::string> complaints;
  std::vector<Fault> faults;
  std::map<std::string, int> calls;
  bool hung_released = false;
  uint64_t tick = 0;
  std::vector<Span> trace;
  std::vector<std::shared_ptr<StreamWork>> default_streams;  // by device, made when first used
  std::vector<std::weak_ptr<StreamWork>> streams;
};
State& state();

// Physical number of the calling thread's current device.
int CurrentDevice();
// Of the ordinal that this thread sees, or -1.
int PhysicalDevice(int ordinal);
int NumVisible();
void SetCurrentOrdinal(int ordinal);
int CurrentOrdinal();

// The fault that this call meets, if any; counts the call. TakeFault leaves it to the caller to hang; who sees the call counted
// sees it in `num_hung` too.
std::optional<Fault> TakeFault(const std::string& call, int device,
                               std::atomic<int>* num_hung = nullptr);
// The same; kHang has been waited out when it returns.
std::optional<Fault> EnterCall(const std::string& call, int device);
void AwaitReleaseOfHung();
bool HungAreReleased();

void Complain(const std::string& what);
void CountAlive(const std::string& what, int change);

// Null when the device has not so much left.
void* AllocateOn(int device, size_t size, bool of_nccl);
bool Free(void* data, bool of_nccl);
// Whether [data, data + size) is memory of this device.
bool IsOn(int device, const void* data, size_t size);
void CountRegistration(void* data, int change);

// The index of a new span in the trace.
size_t BeginSpan(const std::string& what, int device, const void* stream, int priority);
void EndSpan(size_t index);

}  // namespace cuda_double

#endif  // BREAKEVEN_TESTS_SUPPORT_CUDA_DOUBLE_STATE_H_
