#include "tests/comm/contract_memory.h"

#include <cuda_runtime_api.h>

#include <cstdlib>
#include <cstring>

#include "comm/device_cuda.h"

namespace breakeven::contract {

Memory MakeMemory(Device device, int64_t num_bytes) {
  const size_t size = static_cast<size_t>(num_bytes > 0 ? num_bytes : 1);
  void* data = nullptr;
  if (!device.is_cuda()) {
    data = std::malloc(size);
    return Memory(data, num_bytes, [data] { std::free(data); });
  }
  UseCudaDevice(device);
  CheckCuda(cudaMalloc(&data, size), "cudaMalloc");
  return Memory(data, num_bytes, [data] { cudaFree(data); });
}

void Write(Device device, void* to, const std::vector<char>& bytes) {
  if (bytes.empty()) return;
  if (!device.is_cuda()) {
    std::memcpy(to, bytes.data(), bytes.size());
    return;
  }
  UseCudaDevice(device);
  CheckCuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  CheckCuda(cudaMemcpy(to, bytes.data(), bytes.size(), cudaMemcpyHostToDevice), "cudaMemcpy");
  // From pageable memory it may return before the last bytes are there.
  CheckCuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
}

std::vector<char> Read(Device device, const void* from, int64_t num_bytes) {
  std::vector<char> bytes(static_cast<size_t>(num_bytes));
  if (num_bytes == 0) return bytes;
  if (!device.is_cuda()) {
    std::memcpy(bytes.data(), from, bytes.size());
    return bytes;
  }
  UseCudaDevice(device);
  CheckCuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  CheckCuda(cudaMemcpy(bytes.data(), from, bytes.size(), cudaMemcpyDeviceToHost), "cudaMemcpy");
  return bytes;
}

}  // namespace breakeven::contract
