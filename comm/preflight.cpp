// Pure.
#include "comm/preflight.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <thread>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "comm/base/timing.h"
#include "comm/culprit.h"

namespace breakeven {
namespace {

std::string Format(const char* format, double value) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string Mebibytes(int64_t num_bytes) {
  const double value = static_cast<double>(num_bytes) / (1 << 20);
  return Format(value < 0.1 ? "%.4f MiB" : "%.1f MiB", value);
}

std::vector<std::string> Hosts(Control& control) {
  return control.AllGather(DescribeProcess().host);
}

}  // namespace

void PreflightConfig::VisitFields(FieldVisitor& v) {
  const auto unhashed = [](std::string_view name, std::string_view help, FieldLimits limits = {}) {
    return FieldInfo{name, help, std::move(limits), false};
  };
  v.Visit(unhashed("shared_output",
                   "refuse to start where a rank does not see the run folder; false: only rank 0's "
                   "machine needs it, rank 0 gathers and writes every checkpoint alone, and "
                   "optimizer.shard: null is false"),
          shared_output);
  v.Visit(unhashed("probe_seconds",
                   "how long all-reduces are timed before the first step; 0 = not at all",
                   Between(0, 60)),
          probe_seconds);
}

void CheckSameProgram(Control& control) {
  if (control.world_size() == 1) return;
  std::string hash;
  RunTogether(control, /*root_only=*/false, [&] { hash = HashHex(HashFile("/proc/self/exe")); });
  const std::vector<std::string> hashes = control.AllGather(hash);
  if (std::all_of(hashes.begin(), hashes.end(), [&](const auto& h) { return h == hash; })) return;
  const std::vector<std::string> hosts = Hosts(control);
  std::map<std::string, std::vector<int>> ranks_of;
  for (size_t rank = 0; rank < hashes.size(); ++rank) {
    ranks_of[hashes[rank]].push_back(static_cast<int>(rank));
  }
  std::string text = "the ranks do not run the same program:";
  for (const auto& [h, ranks] : ranks_of) {
    text += (text.back() == ':' ? " " : "; ") + ListRanks(ranks, hosts) + ": hash " + h;
  }
  throw Error(ErrorKind::kUsage,
              text + ". Install one build for all nodes, or on a file system that all see.",
              /*on_all_ranks=*/true);
}

void CheckSharedFolder(Control& control, const std::string& folder) {
  if (control.world_size() == 1) return;
  const std::string path = folder + "/.preflight";
  // Not a leftover's: another run cannot have written the same.
  std::string token = std::to_string(::getpid()) + " " +
                      std::to_string(std::chrono::system_clock::now().time_since_epoch().count());
  RunTogether(control, /*root_only=*/true, [&] { WriteFileDurably(path, token); });
  control.Broadcast(token, /*root=*/0);
  bool seen = false;
  for (int attempt = 0; attempt < 20 && !seen; ++attempt) {
    if (attempt > 0) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    std::ifstream file(path);
    std::string text;
    seen = std::getline(file, text) && text == token;
  }
  const std::vector<std::string> all = control.AllGather(seen ? "1" : "0");
  if (control.rank() == 0) ::unlink(path.c_str());
  std::vector<int> blind;
  for (size_t rank = 0; rank < all.size(); ++rank) {
    if (all[rank] == "0") blind.push_back(static_cast<int>(rank));
  }
  if (blind.empty()) return;
  throw Error(
      ErrorKind::kUsage,
      folder + ": is not the same folder on all nodes: what rank 0 writes into it is not seen by " +
          ListRanks(blind, Hosts(control)) +
          ". Put `output` on a file system that all nodes share, or set "
          "preflight.shared_output: false to keep it on rank 0's machine.",
      /*on_all_ranks=*/true);
}

double AllReduceProbe::BusGbPerSecond() const {
  if (seconds <= 0) return 0;
  return static_cast<double>(num_bytes) / seconds * 2 * (world_size - 1) / world_size / 1e9;
}

double AllReduceProbe::SecondsFor(int64_t total_bytes) const {
  return num_bytes > 0 ? seconds * static_cast<double>(total_bytes) / static_cast<double>(num_bytes)
                       : 0;
}

AllReduceProbe ProbeAllReduce(World& world, int64_t num_bytes, double seconds) {
  const int64_t count = std::max<int64_t>(1, num_bytes / SizeOf(DType::kFloat32));
  const Memory memory = world.data->Allocate(count * SizeOf(DType::kFloat32));
  const Buffer buffer{memory.data(), count, DType::kFloat32, world.device};
  const auto time_one = [&] {
    world.control->Barrier();
    const auto begin = std::chrono::steady_clock::now();
    world.data->AllReduce(buffer, ReduceOp::kSum, Stream{});
    if (world.device.is_cuda()) world.data->Barrier();  // the host does not wait by itself
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  time_one();  // connections and first touches
  const double once = time_one();
  const auto wanted = static_cast<int64_t>(seconds / std::max(once, 1e-6));
  const int64_t repeats =
      std::clamp<int64_t>(world.control->AllReduce(wanted, ReduceOp::kMin), 3, 20);
  std::vector<double> times;
  for (int64_t i = 0; i < repeats; ++i) times.push_back(time_one());
  double median[1] = {SummariseSeconds(std::move(times), /*discarded=*/2).median};
  world.control->AllReduce(std::span<double>(median), ReduceOp::kMax);
  return {world.world_size(), std::string(world.data->name()), buffer.count * SizeOf(buffer.dtype),
          static_cast<int>(repeats), median[0]};
}

std::string Describe(const AllReduceProbe& probe, int64_t bytes_per_step) {
  return "all-reduce of " + Mebibytes(probe.num_bytes) + " over " +
         std::to_string(probe.world_size) + " ranks (" + probe.backend +
         "): " + Format("%.3g ms", 1e3 * probe.seconds) + " (median of " +
         std::to_string(probe.repeats) + "), bus bandwidth " +
         Format("%.3g GB/s", probe.BusGbPerSecond()) + "; the gradients of a step, " +
         Mebibytes(bytes_per_step) + ", take " +
         Format("%.3g s", probe.SecondsFor(bytes_per_step)) + " where nothing hides them";
}

}  // namespace breakeven
