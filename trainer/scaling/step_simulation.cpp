// Pure.
#include "trainer/scaling/step_simulation.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "comm/base/random.h"

namespace breakeven {
namespace {

// Clocks of nodes through one collective after another.
class Nodes {
 public:
  Nodes(const Fabric& fabric, const Topology& topology)
      : fabric_(fabric),
        topology_(topology),
        clock_(static_cast<size_t>(topology.num_nodes()), 0) {}

  // All nodes, each from max(its clock, ready[node]). `part` of an all-reduce: 1, or ½ for a reduce-scatter or gather.
  void AllReduce(const std::vector<double>& ready, double bytes, double part) {
    const NetworkAlgorithm algorithm = ChooseAlgorithm(fabric_, topology_, bytes);
    const CollectiveTerms terms = TermsOf(fabric_.shared_memory, topology_, bytes, algorithm);
    const double node_latency = terms.launches * fabric_.launch_seconds +
                                terms.node_latencies * fabric_.in_node.latency_seconds;
    const double node_bytes = terms.node_bytes * fabric_.in_node.seconds_per_byte;
    const std::vector<double> begin = Begin(ready);
    clock_ = begin;
    // In a pipeline the pieces' way through the node hides behind the network's, or the other way round.
    const double before = node_latency + (fabric_.pipelined ? 0 : node_bytes);
    for (double& time : clock_) time += part * before;
    if (terms.network_latencies > 0) {
      if (algorithm == NetworkAlgorithm::kRing) {
        Ring(terms, part);
      } else {
        HalveAndDouble(bytes, part);
      }
    }
    if (!fabric_.pipelined) return;
    const double latencies =
        node_latency + terms.network_latencies * fabric_.between_nodes.latency_seconds;
    for (size_t node = 0; node < clock_.size(); ++node)
      clock_[node] = std::max(clock_[node], begin[node] + part * (latencies + node_bytes));
  }

  double Last() const { return *std::max_element(clock_.begin(), clock_.end()); }
  const std::vector<double>& clock() const { return clock_; }
  void Reach(const std::vector<double>& times) { clock_ = Begin(times); }
  int64_t num_messages() const { return num_messages_; }

 private:
  std::vector<double> Begin(const std::vector<double>& ready) const {
    std::vector<double> begin = clock_;
    for (size_t node = 0; node < begin.size(); ++node)
      begin[node] = std::max(begin[node], ready[node]);
    return begin;
  }

  double Message(double bytes) const {
    return fabric_.between_nodes.latency_seconds + bytes * fabric_.between_nodes.seconds_per_byte;
  }

  // Every node sends to its right neighbour and waits for its left one, 2 (N − 1) times.
  void Ring(const CollectiveTerms& terms, double part) {
    const double message = part * Message(terms.network_bytes / terms.network_latencies);
    std::vector<double> next = clock_;
    for (int64_t step = 0; step < static_cast<int64_t>(terms.network_latencies); ++step) {
      for (size_t node = 0; node < clock_.size(); ++node) {
        const size_t left = node == 0 ? clock_.size() - 1 : node - 1;
        next[node] = std::max(clock_[node], clock_[left]) + message;
      }
      clock_.swap(next);
      num_messages_ += std::ssize(clock_);
    }
  }

  // Pairs at distances 1, 2, 4, … with a half, a quarter, … of the data, then back; nodes beyond the power of two first give
  // all to a partner, and are given all at the end.
  void HalveAndDouble(double bytes, double part) {
    const auto num_nodes = clock_.size();
    const size_t power = std::bit_floor(num_nodes);
    const double share =
        fabric_.shared_memory ? bytes : bytes / static_cast<double>(topology_.ranks_on_node());
    const double whole = power == num_nodes ? 0 : part * Message(share);
    for (size_t node = power; node < num_nodes; ++node)
      clock_[node - power] = std::max(clock_[node - power], clock_[node]);
    for (size_t node = 0; node < power; ++node) clock_[node] += whole;
    std::vector<double> next(power);
    double piece = share;
    for (size_t distance = 1; distance < power; distance *= 2) {
      piece /= 2;
      for (int way = 0; way < 2; ++way) {  // halving at this distance, and doubling on the way back
        for (size_t node = 0; node < power; ++node)
          next[node] = std::max(clock_[node], clock_[node ^ distance]) + part * Message(piece);
        std::copy(next.begin(), next.end(), clock_.begin());
        num_messages_ += static_cast<int64_t>(power);
      }
    }
    for (size_t node = 0; node < power; ++node) clock_[node] += whole;
    for (size_t node = power; node < num_nodes; ++node) clock_[node] = clock_[node - power];
    num_messages_ += 2 * static_cast<int64_t>(num_nodes - power);
  }

  const Fabric& fabric_;
  const Topology& topology_;
  std::vector<double> clock_;
  int64_t num_messages_ = 0;
};

}  // namespace

SimulatedStep SimulateStep(const StepSchedule& schedule, const Fabric& fabric,
                           const Topology& topology, const SimulationOptions& options) {
  const auto num_nodes = static_cast<size_t>(topology.num_nodes());
  std::vector<double> pace(num_nodes, 0);  // of each node's slowest rank
  for (int64_t rank = 0; rank < topology.world_size; ++rank) {
    double& slowest = pace[static_cast<size_t>(rank / topology.ranks_per_node)];
    const double drawn =
        1 + options.pace_spread * RandomNormal(options.seed,
                                               static_cast<uint64_t>(RandomStream::kBootstrap),
                                               static_cast<uint64_t>(rank));
    slowest = std::max(slowest, drawn);
  }
  const auto at = [&](double seconds) {
    std::vector<double> times = pace;
    for (double& time : times) time *= seconds;
    return times;
  };
  const double compute = schedule.forward_seconds + schedule.backward_seconds;
  const double part = schedule.shard ? 0.5 : 1;
  Nodes nodes(fabric, topology);
  for (const ScheduledBucket& bucket : schedule.buckets) {
    const double ready = schedule.overlapped
                             ? schedule.forward_seconds + schedule.backward_seconds * bucket.ready
                             : compute;
    nodes.AllReduce(at(ready), bucket.bytes, part);
  }
  SimulatedStep result;
  result.slowest_compute_seconds = compute * *std::max_element(pace.begin(), pace.end());
  nodes.Reach(at(compute));
  std::vector<double> updated = nodes.clock();
  for (double& time : updated) time += schedule.update_seconds;
  nodes.Reach(updated);
  if (schedule.shard) {
    for (const ScheduledBucket& bucket : schedule.buckets)
      nodes.AllReduce(updated, bucket.bytes, part);
  }
  result.step_seconds = nodes.Last();
  result.num_messages = nodes.num_messages();
  return result;
}

}  // namespace breakeven
