#include "comm/device_cuda.h"

#include <cuda_runtime_api.h>

namespace breakeven {

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
    found.devices.push_back(
        {properties.name, bus_id, static_cast<int64_t>(properties.totalGlobalMem)});
  }
  if (count == 0) found.reason = "the driver shows no device (see CUDA_VISIBLE_DEVICES)";
  return found;
}

}  // namespace breakeven
