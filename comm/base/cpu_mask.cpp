// Pure.
#include "comm/base/cpu_mask.h"

namespace breakeven {

std::vector<bool> AllowedCpus(pid_t process) {
  return ReadCpuMask([process](size_t num_bytes, cpu_set_t* set) {
    return ::sched_getaffinity(process, num_bytes, set) == 0;
  });
}

std::vector<bool> ReadCpuMask(const std::function<bool(size_t num_bytes, cpu_set_t* set)>& read) {
  std::vector<bool> mask;
  for (int size = CPU_SETSIZE; size <= (1 << 20); size *= 2) {
    cpu_set_t* set = CPU_ALLOC(size);
    if (set == nullptr) break;
    const size_t num_bytes = CPU_ALLOC_SIZE(size);
    const bool known = read(num_bytes, set);
    for (int cpu = 0; known && cpu < size; ++cpu) {
      mask.push_back(CPU_ISSET_S(static_cast<size_t>(cpu), num_bytes, set) != 0);
    }
    CPU_FREE(set);
    if (known) break;
  }
  return mask;
}

}  // namespace breakeven
