#include <mpi.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/base/log.h"
#include "comm/device_cuda.h"
#include "comm/launcher_promise.h"
#include "comm/mpi_support.h"
#include "comm/world.h"

namespace breakeven {
namespace {

std::string LibraryVersion() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING + 1] = "";
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string version(text, static_cast<size_t>(length));
  return version.substr(0,
                        version.find(','));  // Open MPI adds its whole build after the first comma
}

// Ranks of one machine need no network, and looking for fabrics takes 0.2 of MPI_Init's 0.25 s (Open MPI 4.1): what moves
// their messages is said beforehand, unless the user has. Programs that this one starts do not inherit it.
class NoFabrics {
 public:
  explicit NoFabrics(bool wanted) : set_(wanted && std::getenv(kVariable) == nullptr) {
    if (set_) ::setenv(kVariable, "ob1", /*overwrite=*/0);
  }
  ~NoFabrics() {
    if (set_) ::unsetenv(kVariable);
  }
  NoFabrics(const NoFabrics&) = delete;
  NoFabrics& operator=(const NoFabrics&) = delete;

 private:
  static constexpr const char* kVariable = "OMPI_MCA_pml";
  bool set_;
};

const char* Variable(const char* name) { return std::getenv(name); }

int InitThread(int* argc, char*** argv) {
  const NoFabrics no_fabrics(AllOnThisMachine(Variable));
  int granted = MPI_THREAD_SINGLE;
  CheckMpi(MPI_Init_thread(argc, argv, MPI_THREAD_MULTIPLE, &granted), "MPI_Init_thread");
  return granted;
}

void CheckPromise(const LauncherPromise& promise, int world_size) {
  if (promise.world_size == world_size) return;
  // Every process is alone and each believes to be rank 0: number them so that one speaks for all.
  SetLogRank(promise.rank, promise.world_size);
  const bool alone = world_size == 1;
  if (alone) MPI_Finalize();
  throw Error(
      ErrorKind::kUsage,
      "the launcher started " + std::to_string(promise.world_size) + " processes (" +
          promise.variable + "), but MPI sees a world of " + std::to_string(world_size) +
          (alone ? ": each process is alone and would do the whole work by itself" : "") +
          ". This program is built with " + LibraryVersion() +
          "; start it with that library's own mpirun or, under Slurm, with `srun --mpi=pmix`. In a "
          "shell of `srun -n N --pty`, where one process is meant, unset SLURM_STEP_ID first.",
      /*on_all_ranks=*/alone);
}

// Ends the process when this object has lived for too long. Only time in which the process ran counts: a job that was suspended
// goes on as if nothing had been.
class FinalizeWatch {
 public:
  FinalizeWatch(double seconds, double more_seconds) {
    try {
      thread_ = std::thread([=, this] { Run(seconds, more_seconds); });
    } catch (const std::system_error&) {
      // No thread to be had: without it the end only hangs if something blocks.
    }
  }
  ~FinalizeWatch() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }
  FinalizeWatch(const FinalizeWatch&) = delete;
  FinalizeWatch& operator=(const FinalizeWatch&) = delete;

 private:
  void Run(double seconds, double more_seconds) {
    constexpr std::chrono::milliseconds kTick{100};
    std::unique_lock lock(mutex_);
    for (auto left = std::chrono::duration<double>(seconds + more_seconds); left.count() > 0;
         left -= kTick) {
      if (changed_.wait_for(lock, kTick, [this] { return done_; })) return;
    }
    LogError("MPI_Finalize has not returned for " + std::to_string(std::lround(seconds)) +
             " s, although every rank had come to its end: one hangs there, or is stopped. `ps` on "
             "the hosts shows which process is left");
    ::_exit(static_cast<int>(ErrorKind::kInternal));
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::thread thread_;
};

}  // namespace

MpiSession::MpiSession(int* argc, char*** argv) {
  int initialized = 0;
  MPI_Initialized(&initialized);
  BE_CHECK(!initialized, "MPI is initialized once in a process");
  // Before MPI_Init, which may set variables of its own.
  const auto promise = ReadLauncherPromise(Variable);

  PreferPciOrder();  // before MPI has threads that read the environment

  const int granted = InitThread(argc, argv);
  CheckMpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  int rank = 0;
  int world_size = 1;
  CheckMpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
  CheckMpi(MPI_Comm_size(MPI_COMM_WORLD, &world_size), "MPI_Comm_size");
  SetLogRank(rank, world_size);
  SetFaultRank(rank);
  if (promise.has_value()) CheckPromise(*promise, world_size);
  if (granted < MPI_THREAD_MULTIPLE) {
    const std::string library = LibraryVersion();
    MPI_Finalize();
    throw Error(ErrorKind::kMachine,
                library + " grants thread level " + std::to_string(granted) +
                    ", but MPI_THREAD_MULTIPLE (" + std::to_string(MPI_THREAD_MULTIPLE) +
                    ") is needed. Use a build of MPI with full thread support.",
                /*on_all_ranks=*/true);
  }
}

MpiSession::~MpiSession() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  // MPI_Finalize waits for all ranks. A world that was not closed means that this one has failed:
  // the launcher ends the others when this process exits.
  if (finalized || NumOpenMpiCommunicators() != 0) return;
  // Rank 0 speaks first; the launcher then ends the others. (Open MPI 4.1's has crashed where all left at once.)
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  const FinalizeWatch watch(seconds_to_finalize, /*more_seconds=*/rank == 0 ? 0 : 2);
  FaultPoint("mpi.finalize");
  MPI_Finalize();
}

World MpiSession::MakeWorld() {
  World world;
  world.control = MakeMpiControl();
  world.local_rank = world.control->local_rank();
  return world;
}

}  // namespace breakeven
