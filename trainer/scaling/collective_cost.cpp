// Pure.
#include "trainer/scaling/collective_cost.h"

#include <algorithm>
#include <bit>

namespace breakeven {

bool HasLinks(const Fabric& fabric, const Topology& topology) {
  return (topology.ranks_on_node() <= 1 || fabric.in_node.seconds_per_byte > 0) &&
         (topology.num_nodes() <= 1 || fabric.between_nodes.seconds_per_byte > 0);
}

CollectiveTerms TermsOf(bool shared_memory, const Topology& topology, double bytes,
                        NetworkAlgorithm algorithm) {
  CollectiveTerms terms;
  if (topology.world_size <= 1) return terms;
  terms.launches = 1;
  const auto ranks = static_cast<double>(topology.ranks_on_node());
  if (topology.ranks_on_node() > 1) {
    terms.node_latencies = shared_memory ? 2 : 2 * (ranks - 1);
    terms.node_bytes = shared_memory ? 2 * ranks * bytes : 2 * (ranks - 1) / ranks * bytes;
  }
  const auto num_nodes = static_cast<uint64_t>(topology.num_nodes());
  if (num_nodes <= 1) return terms;
  const double share = shared_memory ? bytes : bytes / ranks;
  if (algorithm == NetworkAlgorithm::kRing) {
    const auto nodes = static_cast<double>(num_nodes);
    terms.network_latencies = 2 * (nodes - 1);
    terms.network_bytes = 2 * (nodes - 1) / nodes * share;
    return terms;
  }
  const uint64_t power = std::bit_floor(num_nodes);
  terms.network_latencies = 2.0 * std::countr_zero(power);
  terms.network_bytes = 2 * (1 - 1 / static_cast<double>(power)) * share;
  if (power != num_nodes) {
    terms.network_latencies += 2;
    terms.network_bytes += 2 * share;
  }
  return terms;
}

double CollectiveSeconds(const Fabric& fabric, const CollectiveTerms& terms) {
  const double latencies = terms.launches * fabric.launch_seconds +
                           terms.node_latencies * fabric.in_node.latency_seconds +
                           terms.network_latencies * fabric.between_nodes.latency_seconds;
  const double node = terms.node_bytes * fabric.in_node.seconds_per_byte;
  const double network = terms.network_bytes * fabric.between_nodes.seconds_per_byte;
  return latencies + (fabric.pipelined ? std::max(node, network) : node + network);
}

NetworkAlgorithm ChooseAlgorithm(const Fabric& fabric, const Topology& topology, double bytes) {
  const auto seconds = [&](NetworkAlgorithm algorithm) {
    return CollectiveSeconds(fabric, TermsOf(fabric.shared_memory, topology, bytes, algorithm));
  };
  return seconds(NetworkAlgorithm::kRing) < seconds(NetworkAlgorithm::kHalvingDoubling)
             ? NetworkAlgorithm::kRing
             : NetworkAlgorithm::kHalvingDoubling;
}

double AllReduceSeconds(const Fabric& fabric, const Topology& topology, double bytes) {
  const NetworkAlgorithm algorithm = ChooseAlgorithm(fabric, topology, bytes);
  return CollectiveSeconds(fabric, TermsOf(fabric.shared_memory, topology, bytes, algorithm));
}

}  // namespace breakeven
