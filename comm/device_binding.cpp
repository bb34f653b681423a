// Pure.
#include "comm/device_binding.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <map>
#include <tuple>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/base/log.h"
#include "comm/device_cuda.h"
#include "comm/world.h"

namespace breakeven {
namespace {

std::string MaskText(const std::optional<std::string>& mask) {
  return mask.has_value() ? "CUDA_VISIBLE_DEVICES=" + *mask : "CUDA_VISIBLE_DEVICES is not set";
}

// "rank 3 on node02 (CUDA_VISIBLE_DEVICES=0,1)"
std::string PlaceOf(const std::vector<RankDevices>& ranks, size_t r) {
  return "rank " + std::to_string(r) + " on " + ranks[r].host + " (" + MaskText(ranks[r].mask) +
         ")";
}

// Whether all ranks go to GPUs (true) or all to CPUs.
bool AllUseCuda(const std::vector<RankDevices>& ranks, DeviceChoice choice) {
  const auto sees_one = [](const RankDevices& rank) { return !rank.pci_bus_ids.empty(); };
  const size_t with =
      static_cast<size_t>(std::find_if(ranks.begin(), ranks.end(), sees_one) - ranks.begin());
  const size_t without =
      static_cast<size_t>(std::find_if_not(ranks.begin(), ranks.end(), sees_one) - ranks.begin());
  if (without == ranks.size()) return true;
  if (with == ranks.size() && choice == DeviceChoice::kAuto) return false;
  const std::string none = PlaceOf(ranks, without) + " sees none: " + ranks[without].reason + ". ";
  if (with == ranks.size()) {
    throw Error(ErrorKind::kMachine, "GPUs are asked for (device: cuda), but " + none +
                                         "Check `nvidia-smi` there, or set device: cpu.");
  }
  throw Error(ErrorKind::kMachine,
              PlaceOf(ranks, with) + " sees " + std::to_string(ranks[with].pci_bus_ids.size()) +
                  " GPU(s), " + none +
                  "Ask the scheduler for GPUs on every node, or set device: cpu.");
}

// Of `count` devices that `num_ranks` ranks want, the last of them rank `r`.
[[noreturn]] void ThrowTooFew(const std::vector<RankDevices>& ranks, size_t r, size_t count) {
  const std::string n = std::to_string(count);
  throw Error(ErrorKind::kMachine,
              PlaceOf(ranks, r) + " finds no GPU left: the ranks before it on this node have all " +
                  n + " that they see. Start at most one rank for each GPU (mpirun --map-by ppr:" +
                  n + ":node, or srun --ntasks-per-node=" + n +
                  "), ask for more GPUs, or set allow_shared_gpu: true to try things out.");
}

[[noreturn]] void ThrowSameDevice(const std::vector<RankDevices>& ranks, size_t a, size_t b,
                                  const std::string& id) {
  throw Error(
      ErrorKind::kMachine,
      PlaceOf(ranks, a) + " and " + PlaceOf(ranks, b) + " have the same GPU (" + id +
          "). Give each rank its own: with Slurm ask for --gpus-per-node and let each rank "
          "see all of the job's on its node, elsewhere leave CUDA_VISIBLE_DEVICES the same for all "
          "ranks of a node; or set allow_shared_gpu: true to try things out.");
}

RankDevices LookAround(const Control& control) {
  RankDevices rank;
  rank.host = DescribeProcess().host;
  rank.node_rank = control.node_rank();
  if (const char* mask = std::getenv("CUDA_VISIBLE_DEVICES"); mask != nullptr) rank.mask = mask;
  const CudaDevices visible = VisibleCudaDevices();
  for (const CudaDevice& device : visible.devices) rank.pci_bus_ids.push_back(device.pci_bus_id);
  rank.reason = visible.reason;
  return rank;
}

// COLLECTIVE. What every rank has seen, by rank.
std::vector<RankDevices> GatherDevices(Control& control, const RankDevices& mine) {
  std::string joined;
  for (const std::string& id : mine.pci_bus_ids) joined += id + ' ';
  const std::vector<std::string> hosts = control.AllGather(mine.host);
  const std::vector<std::string> nodes = control.AllGather(std::to_string(mine.node_rank));
  const std::vector<std::string> masks =
      control.AllGather(mine.mask.has_value() ? "=" + *mine.mask : "");
  const std::vector<std::string> ids = control.AllGather(joined);
  const std::vector<std::string> reasons = control.AllGather(mine.reason);
  std::vector<RankDevices> all(hosts.size());
  for (size_t r = 0; r < all.size(); ++r) {
    all[r].host = hosts[r];
    all[r].node_rank = std::stoi(nodes[r]);
    if (!masks[r].empty()) all[r].mask = masks[r].substr(1);
    for (size_t begin = 0; begin < ids[r].size();) {
      const size_t end = ids[r].find(' ', begin);
      all[r].pci_bus_ids.push_back(ids[r].substr(begin, end - begin));
      begin = end + 1;
    }
    all[r].reason = reasons[r];
  }
  return all;
}

// Nobody wants to find out after a day that a broken driver made it a CPU run.
void WarnWhereGpusAreLost(const Control& control, const RankDevices& mine) {
  const bool hidden_on_purpose =
      mine.mask.has_value() && (mine.mask->empty() || *mine.mask == "-1");
  if (control.local_rank() != 0 || hidden_on_purpose || !HasCudaDriver()) return;
  LogWarning("host " + mine.host + " has an NVIDIA driver, but this program sees no GPU (" +
             mine.reason +
             "): it computes on CPUs. device: cuda makes that an error, device: cpu " +
             "ends this warning");
}

}  // namespace

void DeviceConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"device",
           "what ranks compute on, one GPU each; auto = GPUs where every rank sees one, CPUs where "
           "none does",
           OneOf({"auto", "cpu", "cuda"}), false},
          device);
  v.Visit({"allow_shared_gpu", "several ranks on one GPU: to try things out, never for speed",
           Any(), false},
          allow_shared_gpu);
}

DeviceOptions DeviceConfig::Options() const {
  return {.choice = ParseDeviceChoice(device), .allow_shared_gpu = allow_shared_gpu};
}

DeviceChoice ParseDeviceChoice(std::string_view name) {
  const auto* const found = std::find(std::begin(kDeviceChoices), std::end(kDeviceChoices), name);
  BE_CHECK(found != std::end(kDeviceChoices), std::string(name));
  return static_cast<DeviceChoice>(found - std::begin(kDeviceChoices));
}

DeviceAssignment AssignDevices(const std::vector<RankDevices>& ranks,
                               const DeviceOptions& options) {
  DeviceAssignment result;
  result.devices.resize(ranks.size());
  if (options.choice == DeviceChoice::kCpu || !AllUseCuda(ranks, options.choice)) return result;
  std::map<std::pair<int, std::vector<std::string>>, size_t> num_before;  // who see the same
  std::map<std::pair<int, std::string>, size_t> owners;
  for (size_t r = 0; r < ranks.size(); ++r) {
    const auto& ids = ranks[r].pci_bus_ids;
    size_t place = num_before[{ranks[r].node_rank, ids}]++;
    // One device each that is the same one is a mask gone wrong, not a lack of devices.
    if (place >= ids.size() && ids.size() > 1 && !options.allow_shared_gpu) {
      ThrowTooFew(ranks, r, ids.size());
    }
    place %= ids.size();
    const auto [owner, is_new] = owners.try_emplace({ranks[r].node_rank, ids[place]}, r);
    if (!is_new && !options.allow_shared_gpu) ThrowSameDevice(ranks, owner->second, r, ids[place]);
    result.shared |= !is_new;
    result.devices[r] = Device{static_cast<int>(place)};
  }
  return result;
}

Device BindDevice(Control& control, const DeviceOptions& options) {
  FaultPoint("comm.bind_device");
  if (options.choice == DeviceChoice::kCpu) return Device{};
  const RankDevices mine = LookAround(control);
  const std::vector<RankDevices> ranks = GatherDevices(control, mine);
  Device device;
  RunTogether(control, /*root_only=*/false, [&] {
    const DeviceAssignment assigned = AssignDevices(ranks, options);
    device = assigned.devices[static_cast<size_t>(control.rank())];
    if (!device.is_cuda()) return;
    UseCudaDevice(device);
    if (!assigned.shared) return;
    ::setenv("NCCL_MULTI_RANK_GPU_ENABLE", "1", /*overwrite=*/0);  // NCCL refuses it otherwise
    LogWarning("several ranks share a GPU: they take turns, and each needs its own memory");
  });
  if (!device.is_cuda()) WarnWhereGpusAreLost(control, mine);
  return device;
}

}  // namespace breakeven
