// Where, when and by which program a bench was run: for its JSON.
#ifndef BREAKEVEN_LAUNCH_BENCH_ORIGIN_H_
#define BREAKEVEN_LAUNCH_BENCH_ORIGIN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "comm/world.h"

namespace breakeven {

// "breakeven 1.2.3", as --version has it.
std::string ProgramVersion();

struct BenchOrigin {
  std::string program;
  std::string time;                // UTC
  std::vector<std::string> hosts;  // of the ranks, each once, by first rank
  int64_t cpus_per_node = 0;       // that rank 0's host gives the job: masks are equal or apart
  int64_t cpus_of_machine = 0;     // rank 0's, whatever the job has of them
  std::string gpu;                 // rank 0's; "" = CPUs
};
// COLLECTIVE. After the device is bound.
BenchOrigin DescribeOrigin(World& world);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_BENCH_ORIGIN_H_
