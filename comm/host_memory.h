// Pure. Plain host memory for back ends whose transport needs none of its own.
#ifndef BREAKEVEN_COMM_HOST_MEMORY_H_
#define BREAKEVEN_COMM_HOST_MEMORY_H_

#include <atomic>
#include <cstdint>

#include "comm/device.h"

namespace breakeven {

// Zeroed, aligned to 64 bytes (large blocks to 2 MiB, with huge pages where the system has them), first touched by the
// caller. `live_blocks`, if given, counts blocks not yet released and outlives them. Error: kMachine.
Memory AllocateHostMemory(int64_t num_bytes, std::atomic<int>* live_blocks);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_HOST_MEMORY_H_
