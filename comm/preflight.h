// Pure. What is looked at before the first step, on all ranks together: a job that is started wrongly ends within seconds,
// naming ranks and remedy, instead of computing something else or at a fraction of the speed.
#ifndef BREAKEVEN_COMM_PREFLIGHT_H_
#define BREAKEVEN_COMM_PREFLIGHT_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "comm/base/fields.h"
#include "comm/world.h"

namespace breakeven {

struct PreflightConfig {
  bool shared_output = true;
  double probe_seconds = 0.2;
  void VisitFields(FieldVisitor& v);
};

// COLLECTIVE. Error(kUsage) on all ranks, naming the ranks of each, when they do not run the same file of the program.
void CheckSameProgram(Control& control);

// COLLECTIVE. Rank 0 writes a file into `folder`, all look for it (for up to a second: network file systems show it late).
// Error(kUsage) on all ranks naming those that do not see it; rank 0's own errors are those of durable_file.h.
void CheckSharedFolder(Control& control, const std::string& folder);

// A rank's CPUs and how many threads it starts.
struct CpuUse {
  std::string host;
  std::string cpus;  // mask as a list, "0-1,4"
  int64_t threads = 1;
  int64_t launcher_cpus = 0;  // LauncherCpus()
};
// One sentence with ranks and remedy for each host whose ranks' threads outnumber their CPUs, and for each where the launcher's
// binding leaves CPUs idle. `ranks` by rank.
std::vector<std::string> FindCpuTraps(std::span<const CpuUse> ranks);
// The CPUs of the mpirun (or its daemon) that started this process; 0 when something else did: a scheduler's own mask is an
// allocation and no trap.
int64_t LauncherCpus();
// COLLECTIVE. FindCpuTraps over the ranks of the job, this one with `threads`; the same on all ranks.
std::vector<std::string> FindCpuTraps(Control& control, int64_t threads);

struct AllReduceProbe {
  int world_size = 1;
  std::string backend;
  int64_t num_bytes = 0;
  int repeats = 0;
  double seconds = 0;  // median of the slowest rank
  // Bytes that pass through each rank's link per second, as nccl-tests count them; 1e9 a GB.
  double BusGbPerSecond() const;
  // Of all-reducing `total_bytes` in pieces of num_bytes, one after the other, with nothing computed meanwhile.
  double SecondsFor(int64_t total_bytes) const;
};
// COLLECTIVE. Times all-reduces of `num_bytes` of float32 for about `seconds` (3 to 20, after one that is not counted).
AllReduceProbe ProbeAllReduce(World& world, int64_t num_bytes, double seconds);
// "all-reduce of 16.0 MiB over 2 ranks (shared_memory): 3.1 ms (median of 20), bus bandwidth 5.4 GB/s; the gradients of a step,
// 513.2 MiB, take 0.10 s where nothing hides them".
std::string Describe(const AllReduceProbe& probe, int64_t bytes_per_step);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_PREFLIGHT_H_
