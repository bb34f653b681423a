// Pure. This process's memory and CPUs.
#ifndef BREAKEVEN_TRAINER_PROCESS_RESOURCES_H_
#define BREAKEVEN_TRAINER_PROCESS_RESOURCES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "comm/control.h"

namespace breakeven {

// Largest resident size so far (VmHWM of /proc/self/status); 0 where the kernel does not say.
int64_t PeakMemoryBytes();
// Memory that this machine could still give (MemAvailable); 0 where the kernel does not say.
int64_t AvailableMemoryBytes();

// Makes glibc keep what a step frees instead of giving it back to the kernel, which would have to clear
// every page again at the next step: what ATen takes below 64 KiB and what is not ATen's at all, such
// as the loader's batches and a step's vectors. Activations are the arena's (caching_allocator.h). A
// setting of the user's in the environment stays: GLIBC_TUNABLES, or any of MALLOC_MMAP_THRESHOLD_,
// MALLOC_TRIM_THRESHOLD_, MALLOC_MMAP_MAX_ and MALLOC_TOP_PAD_.
void KeepFreedMemory();

// A rank's place, as in the start-up table.
struct RankPlace {
  std::string host;
  std::string cpus;  // mask as a list, "0-1,4"
  int64_t num_cpus = 1;
};

// COLLECTIVE. Every rank's, by rank.
std::vector<RankPlace> GatherPlaces(Control& control);

// Threads for rank `rank`: the CPUs of its mask divided among the ranks of its host with the same
// mask; at least 1.
int64_t DefaultThreads(const std::vector<RankPlace>& places, size_t rank);

// The same where `configured` is 0; else that.
int64_t RankThreads(int64_t configured, const std::vector<RankPlace>& places, size_t rank);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROCESS_RESOURCES_H_
