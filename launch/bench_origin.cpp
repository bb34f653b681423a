#include "launch/bench_origin.h"

#include <unistd.h>

#include <algorithm>
#include <set>

#include "comm/base/utc_time.h"
#include "comm/device_cuda.h"

namespace breakeven {

std::string ProgramVersion() { return "breakeven " BREAKEVEN_VERSION; }

BenchOrigin DescribeOrigin(World& world) {
  const ProcessPlace own = DescribeProcess();
  const std::vector<std::string> hosts = world.control->AllGather(own.host);
  const std::vector<std::string> masks = world.control->AllGather(own.cpus);
  const std::vector<std::string> counts = world.control->AllGather(std::to_string(own.num_cpus));
  BenchOrigin origin;
  origin.program = ProgramVersion();
  origin.time = UtcNow();
  std::set<std::string> seen;
  for (size_t rank = 0; rank < hosts.size(); ++rank) {
    if (std::find(origin.hosts.begin(), origin.hosts.end(), hosts[rank]) == origin.hosts.end())
      origin.hosts.push_back(hosts[rank]);
    if (hosts[rank] == hosts[0] && seen.insert(masks[rank]).second)
      origin.cpus_per_node += std::stoll(counts[rank]);
  }
  origin.cpus_of_machine = ::sysconf(_SC_NPROCESSORS_ONLN);
  if (world.device.is_cuda()) {
    const CudaDevices visible = VisibleCudaDevices();
    if (!visible.devices.empty()) origin.gpu = visible.devices.front().name;
  }
  return origin;
}

}  // namespace breakeven
