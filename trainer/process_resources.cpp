// Pure.
#include "trainer/process_resources.h"

#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "comm/world.h"

namespace breakeven {
namespace {

// "Key:   123 kB" lines of /proc.
int64_t ReadKilobytes(const char* path, const std::string& key) {
  std::ifstream file(path);
  std::string word;
  while (file >> word) {
    int64_t kilobytes = 0;
    if (word == key && file >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

}  // namespace

int64_t PeakMemoryBytes() { return ReadKilobytes("/proc/self/status", "VmHWM:"); }

int64_t AvailableMemoryBytes() { return ReadKilobytes("/proc/meminfo", "MemAvailable:"); }

void KeepFreedMemory() {
  for (const char* name : {"GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_",
                           "MALLOC_MMAP_MAX_", "MALLOC_TOP_PAD_"}) {
    if (std::getenv(name) != nullptr) return;
  }
  constexpr int kKeepBytes = 1 << 30;
  ::mallopt(M_MMAP_MAX, 0);  // glibc caps the threshold at 32 MB; larger blocks would still go back
  ::mallopt(M_TRIM_THRESHOLD, kKeepBytes);
  ::mallopt(M_TOP_PAD, 64 << 20);
}

std::vector<RankPlace> GatherPlaces(Control& control) {
  const ProcessPlace own = DescribeProcess();
  const std::vector<std::string> hosts = control.AllGather(own.host);
  const std::vector<std::string> cpus = control.AllGather(own.cpus);
  const std::vector<std::string> counts = control.AllGather(std::to_string(own.num_cpus));
  std::vector<RankPlace> places;
  for (size_t rank = 0; rank < hosts.size(); ++rank) {
    places.push_back({hosts[rank], cpus[rank], std::stoll(counts[rank])});
  }
  return places;
}

int64_t DefaultThreads(const std::vector<RankPlace>& places, size_t rank) {
  const RankPlace& own = places.at(rank);
  const auto sharing = std::count_if(places.begin(), places.end(), [&](const RankPlace& place) {
    return place.host == own.host && place.cpus == own.cpus;
  });
  return std::max<int64_t>(1, own.num_cpus / std::max<int64_t>(1, sharing));
}

int64_t RankThreads(int64_t configured, const std::vector<RankPlace>& places, size_t rank) {
  return configured > 0 ? configured : DefaultThreads(places, rank);
}

}  // namespace breakeven
