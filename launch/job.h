// The life of one process of a job: MPI started where it is wanted, and every way to end.
#ifndef BREAKEVEN_LAUNCH_JOB_H_
#define BREAKEVEN_LAUNCH_JOB_H_

#include <memory>
#include <optional>

#include "comm/base/error.h"
#include "comm/world.h"

namespace breakeven {

// What the launcher (mpirun, srun) says in the environment before MPI starts (launcher_promise.h); {0, 1} without one.
struct LaunchedAs {
  int rank = 0;
  int world_size = 1;
};
LaunchedAs DescribeLaunch();

class Job {
 public:
  Job() = default;
  ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // COLLECTIVE when `use_mpi`. Without it the world is this process alone. `has_phases`: the work says where it is from its start
  // to its end, so that the watchdog's limits hold from now on; else it watches for ranks that die, and in closing.
  void Start(int* argc, char*** argv, bool use_mpi, bool has_phases);
  World& world() { return *world_; }
  // COLLECTIVE. The orderly end.
  void Finish();
  // Says what went wrong, once for the whole job, and returns the exit code. An error that all
  // ranks throw is said by rank 0 and the job ends in order; one that this rank alone throws aborts
  // the job, for the others may be waiting in a collective. Does not return then.
  int Fail(const Error& error);

 private:
  std::unique_ptr<MpiSession> session_;
  std::optional<World> world_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_JOB_H_
