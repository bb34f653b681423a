// Pure. Which device a rank computes on: one rank, one GPU, and no GPU twice.
#ifndef BREAKEVEN_COMM_DEVICE_BINDING_H_
#define BREAKEVEN_COMM_DEVICE_BINDING_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "comm/base/fields.h"
#include "comm/control.h"
#include "comm/device.h"

namespace breakeven {

// kAuto: GPUs where every rank sees one, CPUs where none does.
enum class DeviceChoice { kAuto, kCpu, kCuda };
inline constexpr std::string_view kDeviceChoices[] = {"auto", "cpu", "cuda"};  // as in a config
DeviceChoice ParseDeviceChoice(std::string_view name);                         // one of these

struct DeviceOptions {
  DeviceChoice choice = DeviceChoice::kAuto;
  // Several ranks on one GPU: for trying things out, never for speed.
  bool allow_shared_gpu = false;
};

// The keys of a config that say it.
struct DeviceConfig {
  std::string device = "auto";  // kDeviceChoices
  bool allow_shared_gpu = false;
  void VisitFields(FieldVisitor& v);
  DeviceOptions Options() const;
};

// What one rank knows of itself.
struct RankDevices {
  std::string host;
  int node_rank = 0;
  std::optional<std::string> mask;       // CUDA_VISIBLE_DEVICES, if set
  std::vector<std::string> pci_bus_ids;  // of the devices that it sees, in their order
  std::string reason;                    // why it sees none
};

struct DeviceAssignment {
  std::vector<Device> devices;  // by rank, numbered as that rank sees them; all CPU or all CUDA
  bool shared = false;          // two ranks have one GPU: only where it is allowed
};

// The device of every rank, from what all ranks know (by rank): the same answer, or error, everywhere.
//
// A rank takes the device numbered by its place among the ranks of its node that see the same devices. So it is the local
// rank where nothing is masked, 0 where the scheduler gave each rank a device of its own, and right where it gave each
// several. Errors, all kMachine, with host, rank, CUDA_VISIBLE_DEVICES and remedy: kCuda is asked for and a rank
// sees none; kAuto, and some see one and some don't; more ranks than devices, or two ranks with one device (by PCI bus id
// on one node), unless they may share.
DeviceAssignment AssignDevices(const std::vector<RankDevices>& ranks, const DeviceOptions& options);

// COLLECTIVE. The same for this process: looks at its devices, agrees with the other ranks, makes the chosen device the
// calling thread's, and returns it; Device{} means CPU. Where GPUs are shared, tells NCCL to accept that. Errors, on all
// ranks: as AssignDevices, and kMachine where a device does not answer.
Device BindDevice(Control& control, const DeviceOptions& options);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_DEVICE_BINDING_H_
