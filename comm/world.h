// The world of a job: both planes and this rank's place, built once in main and passed down.
#ifndef BREAKEVEN_COMM_WORLD_H_
#define BREAKEVEN_COMM_WORLD_H_

#include <functional>
#include <memory>
#include <string>

#include "comm/communicator.h"
#include "comm/control.h"
#include "comm/device.h"
#include "comm/device_binding.h"
#include "comm/nccl_communicator.h"
#include "comm/watchdog.h"

namespace breakeven {

// Order of members = order of construction; Close() first, then destruction in reverse.
struct World {
  std::unique_ptr<Watchdog> watchdog;  // null: nobody watches (watched_world.h)
  std::unique_ptr<Control> control;
  std::unique_ptr<Communicator> data;  // of MPI ranks: null until OpenDataPlane (data_plane.h)
  int local_rank = 0;
  Device device;

  int rank() const { return control->rank(); }
  int world_size() const { return control->world_size(); }
  bool is_root() const { return rank() == 0; }
  // For the watchdog, if there is one: where this rank is (step -1: none), and that it gets on.
  void EnterPhase(Phase phase, int64_t step = -1) const {
    if (watchdog != nullptr) watchdog->EnterPhase(phase, step);
  }
  void Beat() const {
    if (watchdog != nullptr) watchdog->Beat();
  }
  // COLLECTIVE. In phase kClosing: who has arrived waits under watch until all have.
  void Close();
};

// COLLECTIVE. The nccl_ back end over the ranks of `control`, which outlives it and ends the job where Abort is called.
std::unique_ptr<Communicator> MakeNcclPlane(Control& control, Device device,
                                            const NcclOptions& options = {});

// COLLECTIVE. Binds the ranks to GPUs as `options` asks (device_binding.h) and, where they are, puts the nccl_ back end in
// the place of `world.data`, from which nothing is allocated yet. On CPUs the world stays as it is. Errors: of BindDevice,
// and of MakeNcclCommunicator.
void UseDevices(World& world, const DeviceOptions& options, const NcclOptions& nccl = {});

// MPI_Init_thread(MPI_THREAD_MULTIPLE), checked, and MPI_Finalize when it goes away after World::Close. One per process.
// Errors: kMachine when MPI grants less; kUsage when the launcher promised another world size (SLURM_NTASKS,
// OMPI_COMM_WORLD_SIZE, PMI_SIZE) than MPI reports: N singletons.
class MpiSession {
 public:
  MpiSession(int* argc, char*** argv);
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;
  // MPI_Finalize waits for all ranks, and the watch is over by then: a process for which it has not returned after so long ends
  // with 70.
  double seconds_to_finalize = 300;
  World
  MakeWorld();  // COLLECTIVE. Without a data plane: the config says which, and commands that move no data need none
};

// World size 1 without MPI, for commands that do not start it and for tests.
World MakeSingleWorld();

// Runs `body` as `world_size` ranks that are threads of this process, each with its own World; rethrows the first
// rank's exception after all have ended (a rank that throws makes the others' collectives throw kCommunication).
void RunThreadWorld(int world_size, const std::function<void(World&)>& body);

// This process's part in the start-up table: host, CPU mask as a list ("0-1,4"), number of CPUs in it, and what the kernel
// calls them ("AMD EPYC 7763 64-Core Processor"; the architecture where it has no name for them).
struct ProcessPlace {
  std::string host;
  std::string cpus;
  int num_cpus = 0;
  std::string cpu_model;
};
ProcessPlace DescribeProcess();

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_WORLD_H_
