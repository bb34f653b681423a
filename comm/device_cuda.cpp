#include "comm/device_cuda.h"

#include <cuda_runtime_api.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "comm/base/error.h"

namespace breakeven {
namespace {

const char* RemedyFor(int error) {
  switch (error) {
    case cudaErrorMemoryAllocation:
      return "Use smaller micro-batches or more ranks, and see in nvidia-smi who else uses the "
             "device.";
    case cudaErrorInsufficientDriver:
      return "The driver is older than the CUDA runtime of this build: update it, or build against "
             "an older libtorch.";
    case cudaErrorDevicesUnavailable:
      return "Another process holds the device (compute mode exclusive): free it, or choose others "
             "with CUDA_VISIBLE_DEVICES.";
    case cudaErrorInvalidDevice:
      return "Check CUDA_VISIBLE_DEVICES and the scheduler's request for GPUs.";
    default:
      return "See `nvidia-smi` and the kernel log (dmesg, Xid messages) for the device's state; "
             "CUDA_LAUNCH_BLOCKING=1 shows the call that a later error comes from.";
  }
}

// An event on the stream as it is now; empty on CPU.
Event RecordWith(Stream stream, unsigned flags) {
  if (!stream.device.is_cuda()) return {};
  UseCudaDevice(stream.device);  // an event belongs to the device that was current when it was made
  cudaEvent_t event = nullptr;
  CheckCuda(cudaEventCreateWithFlags(&event, flags), "cudaEventCreateWithFlags");
  // An event that work still waits for is freed by the runtime when that has passed.
  Event recorded{std::shared_ptr<void>(
      event, [](void* handle) { cudaEventDestroy(static_cast<cudaEvent_t>(handle)); })};
  CheckCuda(cudaEventRecord(event, static_cast<cudaStream_t>(stream.handle)), "cudaEventRecord");
  return recorded;
}

cudaEvent_t HandleOf(const Event& event) { return static_cast<cudaEvent_t>(event.handle.get()); }

void Copy(Device device, void* to, const void* from, int64_t num_bytes, cudaMemcpyKind kind) {
  if (num_bytes == 0) return;
  const size_t size = static_cast<size_t>(num_bytes);
  if (!device.is_cuda()) {
    std::memcpy(to, from, size);
    return;
  }
  UseCudaDevice(device);
  // The copy goes to the default stream, which our streams are not ordered with.
  CheckCuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  CheckCuda(cudaMemcpy(to, from, size, kind), "cudaMemcpy");
  // From pageable memory it may return before the last bytes are there.
  CheckCuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
}

}  // namespace

CudaDevices VisibleCudaDevices() {
  CudaDevices found;
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) {
    found.reason = cudaGetErrorString(error);
    cudaGetLastError();  // the runtime keeps the error for the next caller otherwise
    return found;
  }
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties;
    char bus_id[32] = "";
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess ||
        cudaDeviceGetPCIBusId(bus_id, sizeof(bus_id), i) != cudaSuccess) {
      found.devices.clear();
      found.reason = "device " + std::to_string(i) +
                     " does not answer: " + cudaGetErrorString(cudaGetLastError());
      return found;
    }
    found.devices.push_back({properties.name, bus_id,
                             static_cast<int64_t>(properties.totalGlobalMem), properties.major});
  }
  if (count == 0) found.reason = "the driver shows no device (see CUDA_VISIBLE_DEVICES)";
  return found;
}

bool HasCudaDriver() {
  std::error_code ignored;
  return std::filesystem::exists("/proc/driver/nvidia/version", ignored);
}

void PreferPciOrder() { ::setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", /*overwrite=*/0); }

void UseCudaDevice(Device device) { CheckCuda(cudaSetDevice(device.index), "cudaSetDevice"); }

Event Record(Stream stream) { return RecordWith(stream, cudaEventDisableTiming); }

Event RecordTime(Stream stream) { return RecordWith(stream, cudaEventDefault); }

double SecondsBetween(const Event& begin, const Event& end) {
  if (begin.handle == nullptr || end.handle == nullptr) return 0;
  CheckCuda(cudaEventSynchronize(HandleOf(end)), "cudaEventSynchronize");
  float milliseconds = 0;
  CheckCuda(cudaEventElapsedTime(&milliseconds, HandleOf(begin), HandleOf(end)),
            "cudaEventElapsedTime");
  return 1e-3 * static_cast<double>(milliseconds);
}

void Wait(Stream stream, const Event& event) {
  if (!stream.device.is_cuda() || event.handle == nullptr) return;
  UseCudaDevice(stream.device);
  CheckCuda(cudaStreamWaitEvent(static_cast<cudaStream_t>(stream.handle), HandleOf(event), 0),
            "cudaStreamWaitEvent");
}

Memory AllocateCudaMemory(Device device, int64_t num_bytes) {
  UseCudaDevice(device);
  void* data = nullptr;
  CheckCuda(cudaMalloc(&data, static_cast<size_t>(num_bytes)), "cudaMalloc");
  return Memory(data, num_bytes, [data] { cudaFree(data); });
}

void WriteTo(Device device, void* to, const void* from, int64_t num_bytes) {
  Copy(device, to, from, num_bytes, cudaMemcpyHostToDevice);
}

void ReadFrom(Device device, void* to, const void* from, int64_t num_bytes) {
  Copy(device, to, from, num_bytes, cudaMemcpyDeviceToHost);
}

void Synchronize(Stream stream) {
  if (!stream.device.is_cuda()) return;
  UseCudaDevice(stream.device);
  CheckCuda(cudaStreamSynchronize(static_cast<cudaStream_t>(stream.handle)),
            "cudaStreamSynchronize");
}

void CheckCuda(int error, const char* call, std::source_location place) {
  if (error == cudaSuccess) return;
  cudaGetLastError();
  const auto code = static_cast<cudaError_t>(error);
  throw Error(ErrorKind::kMachine, std::string(call) + " failed (" + place.file_name() + ":" +
                                       std::to_string(place.line()) +
                                       "): " + cudaGetErrorString(code) + " (" +
                                       cudaGetErrorName(code) + "). " + RemedyFor(error));
}

}  // namespace breakeven
