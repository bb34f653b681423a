// Pure. Which CPUs a process may run on.
#ifndef BREAKEVEN_COMM_BASE_CPU_MASK_H_
#define BREAKEVEN_COMM_BASE_CPU_MASK_H_

#include <sched.h>

#include <cstddef>
#include <functional>
#include <vector>

namespace breakeven {

// By number of CPU: whether it is in the mask of the calling thread (0) or of another process. Empty where the kernel does
// not say.
std::vector<bool> AllowedCpus(pid_t process = 0);

// The same of a mask that `read` fills into a set of so many bytes; it says false where the machine has more CPUs than the set
// has bits, and is asked again with a larger one: there are machines with more than cpu_set_t has.
std::vector<bool> ReadCpuMask(const std::function<bool(size_t num_bytes, cpu_set_t* set)>& read);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BASE_CPU_MASK_H_
