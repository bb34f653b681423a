// Pure. What the launcher said it would start, from the environment that it leaves to its processes.
#ifndef BREAKEVEN_COMM_LAUNCHER_PROMISE_H_
#define BREAKEVEN_COMM_LAUNCHER_PROMISE_H_

#include <functional>
#include <optional>
#include <string>

namespace breakeven {

struct LauncherPromise {
  std::string variable;  // where the size was found
  int world_size = 1;
  int rank = 0;
};

// Reads variables through `get` (nullptr: not set), so that tests need no environment. nullopt: no launcher, or none
// that says. mpirun's word counts before Slurm's, whose variables then speak of mpirun's own daemons; a Slurm batch or
// interactive shell (no step of tasks) promises nothing.
std::optional<LauncherPromise> ReadLauncherPromise(
    const std::function<const char*(const char*)>& get);

// Whether the launcher says that all of its ranks are on this machine; false where it says nothing.
bool AllOnThisMachine(const std::function<const char*(const char*)>& get);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_LAUNCHER_PROMISE_H_
