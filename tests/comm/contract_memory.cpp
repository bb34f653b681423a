#include "tests/comm/contract_memory.h"

#include <cstdlib>

#include "comm/device_cuda.h"

namespace breakeven::contract {

Memory MakeMemory(Device device, int64_t num_bytes) {
  if (device.is_cuda()) return AllocateCudaMemory(device, num_bytes);
  void* data = std::malloc(static_cast<size_t>(num_bytes));
  return Memory(data, num_bytes, [data] { std::free(data); });
}

void Write(Device device, void* to, const std::vector<char>& bytes) {
  WriteTo(device, to, bytes.data(), static_cast<int64_t>(bytes.size()));
}

std::vector<char> Read(Device device, const void* from, int64_t num_bytes) {
  std::vector<char> bytes(static_cast<size_t>(num_bytes));
  ReadFrom(device, bytes.data(), from, num_bytes);
  return bytes;
}

}  // namespace breakeven::contract
