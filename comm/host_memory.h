// Pure. Plain host memory for back ends whose transport needs none of its own.
#ifndef BREAKEVEN_COMM_HOST_MEMORY_H_
#define BREAKEVEN_COMM_HOST_MEMORY_H_

#include <atomic>
#include <cstdint>

#include "comm/device.h"

namespace breakeven {

// Zeroed, aligned to 64 bytes. Blocks of 4 MiB and more: to 2 MiB, on huge pages where the system has them, which come (and
// settle on a NUMA node) when they are first written; a page that is never written costs nothing. `live_blocks`, if given,
// counts blocks not yet released and outlives them. Error: kMachine.
Memory AllocateHostMemory(int64_t num_bytes, std::atomic<int>* live_blocks);

// Whether this machine's memory is in several NUMA nodes: what one rank has written is then farther from some of the others.
bool HasSeveralNumaNodes();

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_HOST_MEMORY_H_
