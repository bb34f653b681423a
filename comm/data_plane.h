// Pure. Which back end moves the data of ranks that are processes, and how.
#ifndef BREAKEVEN_COMM_DATA_PLANE_H_
#define BREAKEVEN_COMM_DATA_PLANE_H_

#include <memory>
#include <string>

#include "comm/base/fields.h"
#include "comm/world.h"

namespace breakeven {

struct CommConfig {
  // Of CPU ranks. auto: shared_memory where a node has several ranks and memory to share, else mpi. GPU ranks have nccl.
  std::string backend = "auto";  // auto | shared_memory | mpi
  double timeout_seconds = 1800;
  bool check_calls = false;
  int pretend_nodes = 0;  // no field, for tests: deals the ranks in blocks to this many nodes
  void VisitFields(FieldVisitor& v);
};

// COLLECTIVE over MPI_COMM_WORLD. `control`: the job's control plane. Where shared memory is asked for and cannot be had, rank
// 0 warns, saying why and what to do, and it is mpi.
std::unique_ptr<Communicator> MakeDataPlane(Control& control, const CommConfig& config);

// COLLECTIVE. Binds the ranks to GPUs where `devices` says so, gives `world` its data plane (nccl_ on GPUs) and says in the log
// what it is; a world on CPUs that has one already (ranks that are threads) is left as it is. With check_calls every
// collective is compared over ranks before it is done (call_check.h). Errors: of UseDevices.
void OpenDataPlane(World& world, const CommConfig& config,
                   const DeviceOptions& devices = {.choice = DeviceChoice::kCpu});

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_DATA_PLANE_H_
