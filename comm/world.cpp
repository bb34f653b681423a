#include "comm/world.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <exception>
#include <fstream>
#include <thread>
#include <vector>

#include "comm/base/cpu_mask.h"
#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/thread_communicator.h"
#include "comm/thread_control.h"
#include "comm/thread_hub.h"

namespace breakeven {
namespace {

struct Hubs {
  explicit Hubs(int world_size)
      : control(std::make_shared<ThreadHub>(world_size)),
        data(std::make_shared<ThreadHub>(world_size)) {}
  void Poison(const std::string& reason) {
    control->Poison(reason);
    data->Poison(reason);
  }
  std::shared_ptr<ThreadHub> control;
  std::shared_ptr<ThreadHub> data;
};

World MakeThreadWorld(const Hubs& hubs, int rank) {
  World world;
  world.control = MakeThreadControl(hubs.control, rank);
  world.data = MakeThreadCommunicator(hubs.data, rank);
  world.local_rank = rank;
  return world;
}

// How one rank ended: with nothing, with an error of its own, or with the echo of another rank's.
struct Ending {
  std::exception_ptr error;
  bool is_echo = false;
};

Ending RunRank(Hubs& hubs, int rank, const std::function<void(World&)>& body) {
  const std::string name = "rank " + std::to_string(rank);
  Ending ending;
  try {
    SetThreadFaultRank(rank);
    World world = MakeThreadWorld(hubs, rank);
    body(world);
    // Whoever still waits for this rank would wait for ever.
    hubs.Poison(name + " has ended and takes part in no collective any more");
  } catch (const OtherRankFailed& error) {
    ending = {std::current_exception(), true};
    hubs.Poison(error.what());
  } catch (const std::exception& error) {
    ending = {std::current_exception(), false};
    hubs.Poison(name + " failed: " + error.what());
  } catch (...) {
    ending = {std::current_exception(), false};
    hubs.Poison(name + " failed");
  }
  return ending;
}

std::string CpuModel() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("model name")) continue;
    const size_t begin = line.find_first_not_of(" :\t", line.find(':'));
    if (begin != std::string::npos) return line.substr(begin);
  }
  utsname system = {};
  return ::uname(&system) == 0 ? system.machine : "unknown";
}

}  // namespace

void World::Close() {
  EnterPhase(Phase::kClosing);
  FaultPoint("world.close");
  if (data != nullptr) data->Close();
  control->Barrier();  // whoever leaves the watch first would wait for the others unseen
  control->Close();
  if (watchdog != nullptr) watchdog->Close();  // last: the others' ends are watched too
}

std::unique_ptr<Communicator> MakeNcclPlane(Control& control, Device device,
                                            const NcclOptions& options) {
  return MakeNcclCommunicator(control.Duplicate(), device, options, [&control](std::string_view) {
    control.Abort(static_cast<int>(ErrorKind::kCommunication), "");
  });
}

void UseDevices(World& world, const DeviceOptions& options, const NcclOptions& nccl) {
  world.device = BindDevice(*world.control, options);
  if (!world.device.is_cuda()) return;
  std::unique_ptr<Communicator> gpus = MakeNcclPlane(*world.control, world.device, nccl);
  if (world.data != nullptr) world.data->Close();
  world.data = std::move(gpus);
}

World MakeSingleWorld() { return MakeThreadWorld(Hubs(1), 0); }

void RunThreadWorld(int world_size, const std::function<void(World&)>& body) {
  BE_CHECK(world_size >= 1, "world size " + std::to_string(world_size));
  Hubs hubs(world_size);
  std::vector<Ending> endings(static_cast<size_t>(world_size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < world_size; ++rank) {
    threads.emplace_back(
        [&, rank] { endings[static_cast<size_t>(rank)] = RunRank(hubs, rank, body); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const bool echoes : {false, true}) {
    for (const Ending& ending : endings) {
      if (ending.error && ending.is_echo == echoes) std::rethrow_exception(ending.error);
    }
  }
}

ProcessPlace DescribeProcess() {
  ProcessPlace place;
  place.cpu_model = CpuModel();
  char host[256] = "";
  if (::gethostname(host, sizeof(host) - 1) == 0) place.host = host;

  const std::vector<bool> allowed = AllowedCpus();
  for (size_t begin = 0; begin < allowed.size(); ++begin) {
    if (!allowed[begin]) continue;
    size_t end = begin;
    while (end + 1 < allowed.size() && allowed[end + 1]) ++end;
    if (!place.cpus.empty()) place.cpus += ',';
    place.cpus += std::to_string(begin);
    if (end > begin) place.cpus += '-' + std::to_string(end);
    place.num_cpus += static_cast<int>(end - begin + 1);
    begin = end;
  }
  return place;
}

}  // namespace breakeven
