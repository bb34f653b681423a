// Pure.
#include "comm/device_binding.h"

#include <cstdlib>
#include <map>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "comm/world.h"

namespace breakeven {
namespace {

std::string MaskText(const std::optional<std::string>& mask) {
  return mask.has_value() ? "CUDA_VISIBLE_DEVICES=" + *mask : "CUDA_VISIBLE_DEVICES is not set";
}

RankDevices LookAround(const Control& control) {
  RankDevices rank;
  rank.host = DescribeProcess().host;
  rank.node_rank = control.node_rank();
  rank.local_rank = control.local_rank();
  rank.local_size = control.local_size();
  if (const char* mask = std::getenv("CUDA_VISIBLE_DEVICES"); mask != nullptr) rank.mask = mask;
  rank.visible = VisibleCudaDevices();
  return rank;
}

// COLLECTIVE. Only the reasons and counts of others matter here: a device's place in the text holds for its properties.
std::vector<CudaDevices> GatherVisible(Control& control, const CudaDevices& mine) {
  const std::vector<std::string> counts = control.AllGather(std::to_string(mine.devices.size()));
  const std::vector<std::string> reasons = control.AllGather(mine.reason);
  std::vector<CudaDevices> all(counts.size());
  for (size_t r = 0; r < all.size(); ++r) {
    all[r].devices.resize(std::stoul(counts[r]));
    all[r].reason = reasons[r];
  }
  return all;
}

}  // namespace

Device ChooseDevice(const RankDevices& rank, bool allow_shared_gpu) {
  const int count = static_cast<int>(rank.visible.devices.size());
  const std::string here = "host " + rank.host + ", local rank " + std::to_string(rank.local_rank) +
                           " of " + std::to_string(rank.local_size) + " (" + MaskText(rank.mask) +
                           ")";
  if (count == 0) {
    throw Error(ErrorKind::kMachine, here + ": no GPU: " + rank.visible.reason);
  }
  if (count == 1) return Device{0};
  if (rank.local_size <= count) return Device{rank.local_rank};
  if (allow_shared_gpu) return Device{rank.local_rank % count};
  throw Error(ErrorKind::kMachine,
              here + ": " + std::to_string(count) + " GPUs for " + std::to_string(rank.local_size) +
                  " ranks. Start at most one rank for each GPU (mpirun --map-by ppr:" +
                  std::to_string(count) + ":node, or srun --ntasks-per-node=" +
                  std::to_string(count) + "), or ask for more GPUs.");
}

bool AllUseCuda(DeviceChoice choice, const std::vector<std::string>& hosts,
                const std::vector<CudaDevices>& visible) {
  if (choice == DeviceChoice::kCpu) return false;
  const size_t none = visible.size();
  size_t with = none;
  size_t without = none;
  for (size_t r = visible.size(); r-- > 0;) (visible[r].devices.empty() ? without : with) = r;
  if (without == none) return true;
  const auto place = [&](size_t r) { return "rank " + std::to_string(r) + " on " + hosts[r]; };
  if (with == none && choice == DeviceChoice::kAuto) return false;
  if (with == none) {
    throw Error(ErrorKind::kMachine, "GPUs are asked for, but " + place(without) +
                                         " sees none: " + visible[without].reason +
                                         ". Check `nvidia-smi` there, or compute on CPUs.");
  }
  throw Error(ErrorKind::kMachine,
              place(with) + " sees " + std::to_string(visible[with].devices.size()) + " GPU(s), " +
                  place(without) + " sees none: " + visible[without].reason +
                  ". Ask the scheduler for GPUs on every node, or compute on CPUs everywhere.");
}

bool SharesDevices(const std::vector<BoundDevice>& ranks, bool allow_shared_gpu) {
  std::map<std::pair<int, std::string>, size_t> first;
  bool shared = false;
  for (size_t r = 0; r < ranks.size(); ++r) {
    const auto [at, is_new] = first.try_emplace({ranks[r].node_rank, ranks[r].pci_bus_id}, r);
    if (is_new) continue;
    shared = true;
    if (allow_shared_gpu) continue;
    throw Error(ErrorKind::kMachine,
                "ranks " + std::to_string(at->second) + " and " + std::to_string(r) + " on host " +
                    ranks[r].host + " have the same GPU (" + ranks[r].pci_bus_id +
                    "). Give each rank its own: with Slurm ask for --gpus-per-node (not "
                    "--gpus-per-task) and --gpu-bind=none, elsewhere leave CUDA_VISIBLE_DEVICES "
                    "the same for all ranks of a node.");
  }
  return shared;
}

Device BindDevice(Control& control, const DeviceOptions& options) {
  if (options.choice == DeviceChoice::kCpu) return Device{};
  const RankDevices mine = LookAround(control);
  const std::vector<std::string> hosts = control.AllGather(mine.host);
  const std::vector<CudaDevices> visible = GatherVisible(control, mine.visible);
  bool use_cuda = false;
  RunTogether(control, /*root_only=*/false,
              [&] { use_cuda = AllUseCuda(options.choice, hosts, visible); });
  if (!use_cuda) return Device{};

  Device device;
  RunTogether(control, /*root_only=*/false, [&] {
    device = ChooseDevice(mine, options.allow_shared_gpu);
    UseCudaDevice(device);
  });
  const std::vector<std::string> ids =
      control.AllGather(mine.visible.devices[static_cast<size_t>(device.index)].pci_bus_id);
  const std::vector<std::string> nodes = control.AllGather(std::to_string(mine.node_rank));
  std::vector<BoundDevice> bound;
  for (size_t r = 0; r < ids.size(); ++r) bound.push_back({hosts[r], std::stoi(nodes[r]), ids[r]});
  RunTogether(control, /*root_only=*/false, [&] {
    if (!SharesDevices(bound, options.allow_shared_gpu)) return;
    ::setenv("NCCL_MULTI_RANK_GPU_ENABLE", "1", /*overwrite=*/0);  // NCCL refuses it otherwise
    LogWarning("several ranks share a GPU: they take turns, and each needs its own memory");
  });
  return device;
}

}  // namespace breakeven
