#include "comm/data_plane.h"

#include <algorithm>
#include <utility>

#include "comm/base/log.h"
#include "comm/call_check.h"
#include "comm/mpi_support.h"
#include "comm/shared_memory_communicator.h"
#include "comm/shared_memory_fold.h"

namespace breakeven {
namespace {

NodeMap NodesOf(Control& control, const CommConfig& config) {
  if (config.pretend_nodes == 0) return FindNodes(control);
  NodeMap nodes;
  for (int rank = 0; rank < control.world_size(); ++rank) {
    nodes.node_of.push_back(rank * config.pretend_nodes / control.world_size());
  }
  return nodes;
}

SharedMemorySetup MakeSetup(const NodeMap& nodes, int rank, const CommConfig& config) {
  SharedMemorySetup setup;
  setup.control = MakeMpiControl();
  setup.nodes = nodes;
  setup.timeout_seconds = config.timeout_seconds;
  setup.end_job = [](std::string_view) {
    AbortJob(static_cast<int>(ErrorKind::kCommunication), "");
  };
  if (nodes.num_nodes() > 1) {
    const int place = nodes.PlaceOf(rank);
    setup.across = MakeMpiCommunicatorOf(place < nodes.SmallestNode() ? place : -1,
                                         nodes.node_of[static_cast<size_t>(rank)]);
    setup.flat = MakeMpiCommunicator();
  }
  return setup;
}

bool AnyNodeHasSeveral(const NodeMap& nodes) {
  return static_cast<int>(nodes.node_of.size()) > nodes.num_nodes();
}

}  // namespace

void CommConfig::VisitFields(FieldVisitor& v) {
  const auto unhashed = [](std::string_view name, std::string_view help, FieldLimits limits) {
    return FieldInfo{name, help, std::move(limits), false};
  };
  v.Visit(unhashed("backend",
                   "what moves gradients between CPU ranks (GPUs have NCCL); auto = shared memory "
                   "within a machine where there is any, MPI between machines",
                   OneOf({"auto", "shared_memory", "mpi"})),
          backend);
  v.Visit(
      unhashed("timeout_seconds",
               "shared_memory, nccl: a rank that keeps the others waiting for longer is an error",
               SecondsToWait()),
      timeout_seconds);
  v.Visit(unhashed("check_calls",
                   "compares every collective over ranks before it is done and names the two that "
                   "differ; for debugging, slow",
                   Any()),
          check_calls);
}

std::unique_ptr<Communicator> MakeDataPlane(Control& control, const CommConfig& config) {
  if (config.backend == "mpi") return MakeMpiCommunicator();
  const NodeMap nodes = NodesOf(control, config);
  if (config.backend == "auto" && !AnyNodeHasSeveral(nodes)) return MakeMpiCommunicator();
  SharedMemoryResult result =
      MakeSharedMemoryCommunicator(MakeSetup(nodes, control.rank(), config));
  if (result.communicator != nullptr) return std::move(result.communicator);
  if (control.rank() == 0) {
    LogWarning("the ranks of a machine share no memory (" + result.failure +
               "): gradients go by MPI messages, which is slower. " + SharedMemoryRemedy());
  }
  return MakeMpiCommunicator();
}

void OpenDataPlane(World& world, const CommConfig& config, const DeviceOptions& devices) {
  NcclOptions nccl;
  nccl.init_timeout_seconds = config.timeout_seconds;
  nccl.collective_timeout_seconds = config.timeout_seconds;
  UseDevices(world, devices, nccl);
  if (!world.device.is_cuda()) {
    if (world.data != nullptr) return;
    world.data = MakeDataPlane(*world.control, config);
  }
  // The heartbeat first: it shows who waits in a check.
  if (world.watchdog != nullptr) world.data->AddObserver(world.watchdog->Observer());
  if (config.check_calls) {
    world.data->AddObserver(MakeCallCheck(world.control->Duplicate()));
    world.control->AddObserver(MakeCallCheck(world.control->Duplicate()));
  }
  if (world.world_size() == 1) return;
  const bool shared = world.data->name() == "shared_memory";
  LogInfo("collectives: " + std::string(world.data->name()) +
          (shared ? std::string(" (") + FoldInstructionSet() + ")" : "") + ", " +
          std::to_string(world.world_size()) + " ranks on " +
          std::to_string(world.control->num_nodes()) +
          (world.control->num_nodes() == 1 ? " machine" : " machines") +
          (config.check_calls ? ", every call checked" : ""));
}

}  // namespace breakeven
