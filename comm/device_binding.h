// Pure. Which device a rank computes on: one rank, one GPU, and no GPU twice.
#ifndef BREAKEVEN_COMM_DEVICE_BINDING_H_
#define BREAKEVEN_COMM_DEVICE_BINDING_H_

#include <optional>
#include <string>
#include <vector>

#include "comm/control.h"
#include "comm/device.h"
#include "comm/device_cuda.h"

namespace breakeven {

// kAuto: GPUs where every rank sees one, CPUs where none does.
enum class DeviceChoice { kAuto, kCpu, kCuda };

struct DeviceOptions {
  DeviceChoice choice = DeviceChoice::kAuto;
  bool allow_shared_gpu =
      false;  // several ranks on one GPU: for trying things out, never for speed
};

// What one rank knows of itself.
struct RankDevices {
  std::string host;
  int node_rank = 0;
  int local_rank = 0;
  int local_size = 1;
  std::optional<std::string> mask;  // CUDA_VISIBLE_DEVICES, if set
  CudaDevices visible;
};

// The device of this rank, from what it sees alone. One visible device is taken whatever the local rank: the scheduler has
// masked the others (whether two ranks were given the same one, SharesDevices sees). Else it is the one numbered
// by the local rank. Error kMachine, naming host, CUDA_VISIBLE_DEVICES and local rank, when there are none or fewer than
// local ranks (unless they may be shared: then they are dealt in turn).
Device ChooseDevice(const RankDevices& rank, bool allow_shared_gpu);

// Whether all ranks go to GPUs (true) or all to CPUs. `visible` by rank. Error kMachine when kCuda is asked for and a rank
// sees none, or kAuto meets ranks with and ranks without, naming one of each.
bool AllUseCuda(DeviceChoice choice, const std::vector<std::string>& hosts,
                const std::vector<CudaDevices>& visible);

// Where each rank went, by rank.
struct BoundDevice {
  std::string host;
  int node_rank = 0;
  std::string pci_bus_id;
};
// Whether two ranks of one node have the same device: an Error kMachine naming both, unless it is allowed.
bool SharesDevices(const std::vector<BoundDevice>& ranks, bool allow_shared_gpu);

// COLLECTIVE. All of the above for this process: looks at its devices, agrees with the other ranks, makes the chosen device
// the calling thread's, and returns it; Device{} means CPU. Where GPUs are shared, tells NCCL to accept that. The errors
// are the same on all ranks.
Device BindDevice(Control& control, const DeviceOptions& options);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_DEVICE_BINDING_H_
