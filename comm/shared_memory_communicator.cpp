// Pure.
#include "comm/shared_memory_communicator.h"

#include <algorithm>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "comm/base/progress.h"
#include "comm/shared_memory_exchange.h"
#include "comm/world.h"

namespace breakeven {
namespace {

const char* NameOf(SegmentSource source) {
  return source == SegmentSource::kDevShm ? "/dev/shm" : "memfd";
}

// Whether the ranks of this node that may run on the same CPUs as this one are more than these CPUs.
bool IsOversubscribed(Control& control, const std::vector<int>& node_ranks) {
  const ProcessPlace place = DescribeProcess();
  const std::vector<std::string> cpus = control.AllGather(place.cpus);
  const auto shares = [&](int rank) { return cpus[static_cast<size_t>(rank)] == place.cpus; };
  return std::count_if(node_ranks.begin(), node_ranks.end(), shares) > place.num_cpus;
}

// A warning after half a minute, then at twice the time each: a rank may be busy, or it may hang.
std::function<void(double, const std::string&)> WarnNowAndThen() {
  return [next = 30.0](double waited_seconds, const std::string& text) mutable {
    if (waited_seconds < next) {
      if (waited_seconds < 2) next = 30;  // another wait
      return;
    }
    next = 2 * waited_seconds;
    LogWarning(text + " since " + FormatSeconds(waited_seconds));
  };
}

WaitPolicy MakeWaitPolicy(const SharedMemorySetup& setup, const std::vector<int>& node_ranks,
                          bool oversubscribed) {
  WaitPolicy policy;
  // Who spins on a core that the other needs only delays it.
  if (oversubscribed) policy.spin_nanoseconds = 0;
  policy.timeout_seconds = setup.timeout_seconds;
  policy.name_of = [node_ranks](int r) {
    return "rank " + std::to_string(node_ranks[static_cast<size_t>(r)]);
  };
  const auto on_wait = setup.on_wait ? setup.on_wait : WarnNowAndThen();
  const std::string self = "rank " + std::to_string(setup.control->rank());
  policy.on_wait = [on_wait, self, name = policy.name_of](int r, double waited, const Post& post) {
    on_wait(waited, self + " waits for " + name(r) + " in " + post.Text());
  };
  return policy;
}

void CloseAll(SharedMemorySetup& setup) {
  if (setup.across) setup.across->Close();
  if (setup.flat) setup.flat->Close();
  setup.control->Close();
}

}  // namespace

int NodeMap::num_nodes() const {
  return node_of.empty() ? 0 : *std::max_element(node_of.begin(), node_of.end()) + 1;
}

std::vector<int> NodeMap::RanksOf(int node) const {
  std::vector<int> ranks;
  for (size_t r = 0; r < node_of.size(); ++r) {
    if (node_of[r] == node) ranks.push_back(static_cast<int>(r));
  }
  return ranks;
}

int NodeMap::SmallestNode() const {
  std::vector<int> sizes(static_cast<size_t>(num_nodes()));
  for (const int node : node_of) ++sizes[static_cast<size_t>(node)];
  return *std::min_element(sizes.begin(), sizes.end());
}

int NodeMap::PlaceOf(int rank) const {
  int place = 0;
  for (int r = 0; r < rank; ++r) {
    if (node_of[static_cast<size_t>(r)] == node_of[static_cast<size_t>(rank)]) ++place;
  }
  return place;
}

bool NodeMap::AreEqual() const {
  return SmallestNode() * num_nodes() == static_cast<int>(node_of.size());
}

NodeMap FindNodes(Control& control) {
  NodeMap nodes;
  for (const std::string& node : control.AllGather(std::to_string(control.node_rank()))) {
    nodes.node_of.push_back(std::stoi(node));
  }
  return nodes;
}

std::string SharedMemoryRemedy() {
  return "Remedy: start the container with more (docker run --shm-size=4g, or --ipc=host), or "
         "enlarge it (mount -o remount,size=50% /dev/shm).";
}

SharedMemoryResult MakeSharedMemoryCommunicator(SharedMemorySetup setup) {
  const int rank = setup.control->rank();
  const std::vector<int> node_ranks =
      setup.nodes.RanksOf(setup.nodes.node_of[static_cast<size_t>(rank)]);
  const bool one_node = setup.nodes.num_nodes() == 1;
  const bool oversubscribed = IsOversubscribed(*setup.control, node_ranks);
  const int64_t num_bytes =
      MakeStagingLayout(static_cast<int>(node_ranks.size()), one_node).num_bytes;

  SharedMemoryResult result;
  for (const SegmentSource source : setup.sources) {
    WindowResult window = MakeWindow(*setup.control, node_ranks, source, num_bytes);
    if (window.block.has_value()) {
      WaitPolicy policy = MakeWaitPolicy(setup, node_ranks, oversubscribed);
      result.failure.clear();
      result.communicator = std::make_unique<SharedMemoryExchange>(
          std::move(setup), node_ranks, source, std::move(*window.block), std::move(policy));
      return result;
    }
    result.failure +=
        std::string(result.failure.empty() ? "" : "; ") + NameOf(source) + ": " + window.failure;
  }
  CloseAll(setup);
  return result;
}

}  // namespace breakeven
