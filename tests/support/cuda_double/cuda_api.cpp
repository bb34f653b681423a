// The CUDA runtime's C functions over the double's streams and memory.
#include <cuda_runtime_api.h>

#include <chrono>
#include <cstring>
#include <string>

#include "tests/support/cuda_double/state.h"
#include "tests/support/cuda_double/streams.h"

// The code of a fault is returned from the function.
#define ENTER(name)                                                                  \
  if (const auto fault = cuda_double::EnterCall(name, cuda_double::CurrentDevice()); \
      fault.has_value()) {                                                           \
    return Return(static_cast<cudaError_t>(fault->code));                            \
  }

namespace {

using cuda_double::StreamWork;

thread_local cudaError_t last_error = cudaSuccess;

cudaError_t Return(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

constexpr int kGreatestPriority = -5;

// An event may only be used on streams of its own device.
bool SameDevice(CUevent_st* event, const StreamWork& work) {
  if (event->device == work.device()) return true;
  cuda_double::Complain("an event of device " + std::to_string(event->device) +
                        " was recorded on device " + std::to_string(work.device()));
  return false;
}

}  // namespace

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  ENTER("cudaGetDeviceCount");
  *count = cuda_double::NumVisible();
  return Return(*count == 0 ? cudaErrorNoDevice : cudaSuccess);
}

cudaError_t cudaSetDevice(int device) {
  ENTER("cudaSetDevice");
  if (cuda_double::PhysicalDevice(device) < 0) return Return(cudaErrorInvalidDevice);
  cuda_double::SetCurrentOrdinal(device);
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  ENTER("cudaGetDeviceProperties");
  const int physical = cuda_double::PhysicalDevice(device);
  if (physical < 0) return Return(cudaErrorInvalidDevice);
  const std::lock_guard lock(cuda_double::state().mutex);
  const auto& spec = cuda_double::state().devices[static_cast<size_t>(physical)];
  *properties = {};
  std::strncpy(properties->name, spec.name.c_str(), sizeof(properties->name) - 1);
  properties->totalGlobalMem = spec.memory_bytes;
  properties->major = 9;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int device) {
  ENTER("cudaDeviceGetPCIBusId");
  const int physical = cuda_double::PhysicalDevice(device);
  if (physical < 0) return Return(cudaErrorInvalidDevice);
  const std::lock_guard lock(cuda_double::state().mutex);
  const std::string& id = cuda_double::state().devices[static_cast<size_t>(physical)].pci_bus_id;
  std::strncpy(text, id.c_str(), static_cast<size_t>(length) - 1);
  return cudaSuccess;
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case cudaErrorIllegalAddress:
      return "an illegal memory access was encountered";
    default:
      return "an error of the double";
  }
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorIllegalAddress:
      return "cudaErrorIllegalAddress";
    default:
      return "cudaError";
  }
}

cudaError_t cudaGetLastError(void) { return std::exchange(last_error, cudaSuccess); }

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  const size_t device = static_cast<size_t>(cuda_double::CurrentDevice());
  const std::lock_guard lock(cuda_double::state().mutex);
  *total = cuda_double::state().devices[device].memory_bytes;
  *free = *total - cuda_double::state().used_bytes[device];
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** data, size_t size) {
  ENTER("cudaMalloc");
  *data = cuda_double::AllocateOn(cuda_double::CurrentDevice(), size, /*of_nccl=*/false);
  return Return(*data == nullptr ? cudaErrorMemoryAllocation : cudaSuccess);
}

cudaError_t cudaFree(void* data) {
  if (data == nullptr) return cudaSuccess;
  cudaDeviceSynchronize();
  return Return(cuda_double::Free(data, /*of_nccl=*/false) ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaMemset(void* data, int value, size_t size) {
  ENTER("cudaMemset");
  if (!cuda_double::IsOn(-1, data, size)) return Return(cudaErrorInvalidValue);
  cuda_double::WorkOf(nullptr)->Enqueue("cudaMemset", [=] { std::memset(data, value, size); });
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t size, cudaMemcpyKind kind) {
  ENTER("cudaMemcpy");
  const bool to_device = kind == cudaMemcpyHostToDevice;
  if (size > 0 && !cuda_double::IsOn(-1, to_device ? to : from, size)) {
    return Return(cudaErrorInvalidValue);
  }
  const auto work = cuda_double::WorkOf(nullptr);
  work->Enqueue("cudaMemcpy", [=] { std::memcpy(to, from, size); });
  work->Synchronize();
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void) {
  ENTER("cudaDeviceSynchronize");
  std::vector<std::shared_ptr<StreamWork>> streams;
  {
    const std::lock_guard lock(cuda_double::state().mutex);
    for (const auto& weak : cuda_double::state().streams) {
      if (auto stream = weak.lock()) streams.push_back(std::move(stream));
    }
  }
  const int device = cuda_double::CurrentDevice();
  for (const auto& stream : streams) {
    if (stream->device() == device) stream->Synchronize();
  }
  return cudaSuccess;
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  ENTER("cudaDeviceGetStreamPriorityRange");
  *least = 0;
  *greatest = kGreatestPriority;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned int flags, int priority) {
  ENTER("cudaStreamCreateWithPriority");
  if (flags != cudaStreamNonBlocking) {
    cuda_double::Complain("a stream was made that work on the default stream would wait for");
  }
  auto* made = new CUstream_st;
  made->work = StreamWork::Make(cuda_double::CurrentDevice(), made, priority);
  cuda_double::CountAlive("stream", 1);
  *stream = made;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned int flags) {
  return cudaStreamCreateWithPriority(stream, flags, 0);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (stream == nullptr) return Return(cudaErrorInvalidResourceHandle);
  stream->work->Stop();
  delete stream;
  cuda_double::CountAlive("stream", -1);
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  ENTER("cudaStreamSynchronize");
  cuda_double::WorkOf(stream)->Synchronize();
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int) {
  ENTER("cudaStreamWaitEvent");
  const auto mark = event->mark;
  const uint64_t recorded = mark->recorded();
  cuda_double::WorkOf(stream)->Enqueue("cudaStreamWaitEvent",
                                       [=] { mark->AwaitReached(recorded); });
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int) {
  ENTER("cudaEventCreateWithFlags");
  *event = new CUevent_st;
  (*event)->device = cuda_double::CurrentDevice();
  cuda_double::CountAlive("event", 1);
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  if (event == nullptr) return Return(cudaErrorInvalidResourceHandle);
  delete event;
  cuda_double::CountAlive("event", -1);
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  ENTER("cudaEventRecord");
  const auto work = cuda_double::WorkOf(stream);
  if (!SameDevice(event, *work)) return Return(cudaErrorInvalidResourceHandle);
  const auto mark = event->mark;
  const uint64_t recorded = mark->Record();
  work->Enqueue("cudaEventRecord", [=] { mark->Reach(recorded); });
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  ENTER("cudaEventQuery");
  return Return(event->mark->reached(event->mark->recorded()) ? cudaSuccess : cudaErrorNotReady);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  ENTER("cudaEventSynchronize");
  event->mark->AwaitReached(event->mark->recorded());
  return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  ENTER("cudaEventElapsedTime");
  for (const cudaEvent_t event : {begin, end}) {
    if (!event->mark->reached(event->mark->recorded())) return Return(cudaErrorNotReady);
  }
  const std::chrono::duration<float, std::milli> between =
      end->mark->reached_at() - begin->mark->reached_at();
  *milliseconds = between.count();
  return cudaSuccess;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  ENTER("cudaLaunchHostFunc");
  cuda_double::WorkOf(stream)->Enqueue("cudaLaunchHostFunc", [=] { function(data); });
  return cudaSuccess;
}

}  // extern "C"
