// The contract's bytes in whatever memory a back end moves: host memory, or that of the world's device.
#ifndef BREAKEVEN_TESTS_COMM_CONTRACT_MEMORY_H_
#define BREAKEVEN_TESTS_COMM_CONTRACT_MEMORY_H_

#include <cstdint>
#include <vector>

#include "comm/device.h"

namespace breakeven::contract {

// Not zeroed.
Memory MakeMemory(Device device, int64_t num_bytes);

// After all work that the device has been given, and before any that it will be.
void Write(Device device, void* to, const std::vector<char>& bytes);
std::vector<char> Read(Device device, const void* from, int64_t num_bytes);

}  // namespace breakeven::contract

#endif  // BREAKEVEN_TESTS_COMM_CONTRACT_MEMORY_H_
