#include "tests/support/cuda_double/state.h"

#include <nccl.h>

#include <chrono>
#include <cstdlib>
#include <cstring>

#include "tests/support/cuda_double/streams.h"

namespace cuda_double {
namespace {

thread_local std::optional<std::vector<int>> visible_here;
thread_local int ordinal_here = 0;

constexpr std::chrono::seconds kEndingPatience{5};

// The allocation that contains the address, under the mutex.
std::map<char*, Allocation>::iterator FindAllocation(State& s, const void* data) {
  auto at = s.allocations.upper_bound(static_cast<char*>(const_cast<void*>(data)));
  if (at == s.allocations.begin()) return s.allocations.end();
  --at;
  return static_cast<const char*>(data) < at->first + at->second.size ? at : s.allocations.end();
}

}  // namespace

State& state() {
  static State* const the_state = new State;  // outlives threads that end after main
  return *the_state;
}

void Reset(std::vector<DeviceSpec> devices) {
  State& s = state();
  std::vector<std::shared_ptr<StreamWork>> old_defaults;
  {
    const std::lock_guard lock(s.mutex);
    old_defaults = std::exchange(s.default_streams, {});
  }
  for (auto& stream : old_defaults) {
    if (stream != nullptr) stream->Stop();
  }
  const std::lock_guard lock(s.mutex);
  for (const auto& [data, allocation] : s.allocations) std::free(data);
  s.allocations.clear();
  const size_t count = devices.size();
  s.devices = std::move(devices);
  s.used_bytes.assign(count, 0);
  s.nccl_versions.assign(count, NCCL_VERSION_CODE);
  s.window_support.assign(count, true);
  s.default_streams.assign(count, nullptr);
  s.complaints.clear();
  s.faults.clear();
  s.calls.clear();
  s.hung_released = false;
  s.trace.clear();
  s.streams.clear();
}

void Reset(int count) {
  std::vector<DeviceSpec> devices;
  for (int i = 0; i < count; ++i) devices.push_back({"0000:0" + std::to_string(i) + ":00.0"});
  Reset(std::move(devices));
}

void SetVisibleToThisThread(const std::vector<int>& devices) {
  visible_here = devices;
  ordinal_here = 0;
}

int NumVisible() {
  if (visible_here.has_value()) return static_cast<int>(visible_here->size());
  const std::lock_guard lock(state().mutex);
  return static_cast<int>(state().devices.size());
}

int PhysicalDevice(int ordinal) {
  if (ordinal < 0 || ordinal >= NumVisible()) return -1;
  return visible_here.has_value() ? (*visible_here)[static_cast<size_t>(ordinal)] : ordinal;
}

int CurrentDevice() { return PhysicalDevice(ordinal_here); }
int CurrentOrdinal() { return ordinal_here; }
void SetCurrentOrdinal(int ordinal) { ordinal_here = ordinal; }

void Inject(const Fault& fault) {
  const std::lock_guard lock(state().mutex);
  state().faults.push_back(fault);
}

void ReleaseHung() {
  const std::lock_guard lock(state().mutex);
  state().hung_released = true;
  state().changed.notify_all();
}

std::optional<Fault> TakeFault(const std::string& call, int device, std::atomic<int>* num_hung) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  ++s.calls[call];
  for (Fault& fault : s.faults) {
    if (fault.call != call || (fault.device >= 0 && fault.device != device)) continue;
    if (fault.number == 0 || --fault.number > 0) continue;  // 0: has happened
    const bool hangs = fault.kind == FaultKind::kHang || fault.kind == FaultKind::kHangUntilAbort;
    if (hangs && num_hung != nullptr) ++*num_hung;
    return fault;
  }
  return std::nullopt;
}

std::optional<Fault> EnterCall(const std::string& call, int device) {
  const std::optional<Fault> fault = TakeFault(call, device);
  if (!fault.has_value() || fault->kind != FaultKind::kHang) return fault;
  AwaitReleaseOfHung();
  return std::nullopt;
}

void AwaitReleaseOfHung() {
  std::unique_lock lock(state().mutex);
  state().changed.wait(lock, [] { return state().hung_released; });
}

bool HungAreReleased() {
  const std::lock_guard lock(state().mutex);
  return state().hung_released;
}

int NumCalls(const std::string& call) {
  const std::lock_guard lock(state().mutex);
  return state().calls[call];
}

void SetNcclVersion(int code, int device) {
  const std::lock_guard lock(state().mutex);
  for (size_t i = 0; i < state().devices.size(); ++i) {
    if (device < 0 || static_cast<size_t>(device) == i) state().nccl_versions[i] = code;
  }
}

void SetWindowSupport(bool supported, int device) {
  const std::lock_guard lock(state().mutex);
  for (size_t i = 0; i < state().devices.size(); ++i) {
    if (device < 0 || static_cast<size_t>(device) == i) state().window_support[i] = supported;
  }
}

void Complain(const std::string& what) {
  const std::lock_guard lock(state().mutex);
  state().complaints.push_back(what);
}

void CountAlive(const std::string& what, int change) {
  const std::lock_guard lock(state().mutex);
  state().alive[what] += change;
  state().changed.notify_all();
}

std::vector<std::string> Complaints() {
  State& s = state();
  std::unique_lock lock(s.mutex);
  // A destroyed stream ends when its work has, and its thread a little later.
  const auto num_alive = [&] {
    int num = 0;
    for (const auto& [what, count] : s.alive) num += count;
    for (const auto& stream : s.default_streams) num -= stream != nullptr;
    return num;
  };
  s.changed.wait_for(lock, kEndingPatience, [&] { return num_alive() == 0; });
  std::vector<std::string> all = s.complaints;
  for (const auto& [what, count] : s.alive) {
    int left = count;
    if (what == "thread") {
      for (const auto& stream : s.default_streams) left -= stream != nullptr;
    }
    if (left != 0) all.push_back(std::to_string(left) + " of " + what + " still alive");
  }
  for (const auto& [data, allocation] : s.allocations) {
    all.push_back(std::to_string(allocation.size) + " bytes of device " +
                  std::to_string(allocation.device) + " never freed");
  }
  return all;
}

void* AllocateOn(int device, size_t size, bool of_nccl) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  const size_t index = static_cast<size_t>(device);
  if (size > s.devices[index].memory_bytes - s.used_bytes[index]) return nullptr;
  char* data = static_cast<char*>(std::aligned_alloc(4096, (size + 4095) / 4096 * 4096));
  if (data == nullptr) return nullptr;
  std::memset(data, 0xa5, size);  // fresh device memory is not zero
  s.used_bytes[index] += size;
  s.allocations[data] = {size, device, of_nccl, 0};
  return data;
}

bool Free(void* data, bool of_nccl) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  const auto at = s.allocations.find(static_cast<char*>(data));
  if (at == s.allocations.end() || at->second.of_nccl != of_nccl) {
    s.complaints.push_back("memory freed twice, or by another family's function");
    return false;
  }
  if (at->second.num_registrations != 0) s.complaints.push_back("registered memory was freed");
  s.used_bytes[static_cast<size_t>(at->second.device)] -= at->second.size;
  s.allocations.erase(at);
  std::free(data);
  return true;
}

bool IsOn(int device, const void* data, size_t size) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  const auto at = FindAllocation(s, data);
  return at != s.allocations.end() && (device < 0 || at->second.device == device) &&
         static_cast<const char*>(data) + size <= at->first + at->second.size;
}

void CountRegistration(void* data, int change) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  const auto at = FindAllocation(s, data);
  if (at != s.allocations.end()) at->second.num_registrations += change;
}

size_t BeginSpan(const std::string& what, int device, const void* stream, int priority) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.trace.push_back({what, device, stream, priority, ++s.tick, 0});
  return s.trace.size() - 1;
}

void EndSpan(size_t index) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (index < s.trace.size()) s.trace[index].end = ++s.tick;
  s.changed.notify_all();
}

std::vector<Span> Trace() {
  const std::lock_guard lock(state().mutex);
  return state().trace;
}

}  // namespace cuda_double
