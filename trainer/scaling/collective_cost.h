// Pure. What an all-reduce costs by the α–β model: latencies that add up, and bytes over bandwidth.
//
// Nodes of p ranks, N of them, S bytes. In a node a ring (2 (p − 1) latencies, 2 (p − 1)/p · S bytes), or shared memory
// (2 meetings; p ranks read and write S each: 2 p S bytes over the node's memory). Between nodes each of the p ranks reduces
// its S/p with its peers: by a ring (2 (N − 1) latencies, 2 (N − 1)/N · S/p bytes) or by recursive halving and doubling
// (Rabenseifner 2004: 2 log2 N latencies, the same bytes; N that is no power of two: two more messages of S/p), whichever
// is faster. With shared_memory a rank sends the sum of its slice, so a node's ranks together send S; its link is taken as one that
// carries S at once. mpi knows no nodes: its ranks exchange over all, and what is said here of it is right for one rank a node.
#ifndef BREAKEVEN_TRAINER_SCALING_COLLECTIVE_COST_H_
#define BREAKEVEN_TRAINER_SCALING_COLLECTIVE_COST_H_

#include <cstdint>
#include <string>

namespace breakeven {

struct LinkCost {
  double latency_seconds = 0;
  double seconds_per_byte = 0;
};

struct Fabric {
  bool shared_memory = false;  // in a node; else a ring
  double launch_seconds = 0;   // of a collective of several ranks, whatever its size
  LinkCost in_node;            // of one rank; shared_memory: of the node's memory
  LinkCost between_nodes;      // of one rank's network link
  // Pieces stream through node and network at once (NCCL): the slower of the two counts. Else both.
  bool pipelined = false;
};

struct Topology {
  int64_t world_size = 1;
  int64_t ranks_per_node = 1;  // the last node may have fewer
  int64_t ranks_on_node() const {
    return world_size < ranks_per_node ? world_size : ranks_per_node;
  }
  int64_t num_nodes() const { return (world_size + ranks_per_node - 1) / ranks_per_node; }
};

// Every link that so many ranks need has a bandwidth.
bool HasLinks(const Fabric& fabric, const Topology& topology);

// How often each constant of a fabric counts.
struct CollectiveTerms {
  double launches = 0;
  double node_latencies = 0;
  double node_bytes = 0;
  double network_latencies = 0;
  double network_bytes = 0;
};
enum class NetworkAlgorithm { kRing, kHalvingDoubling };
CollectiveTerms TermsOf(bool shared_memory, const Topology& topology, double bytes,
                        NetworkAlgorithm algorithm);

double CollectiveSeconds(const Fabric& fabric, const CollectiveTerms& terms);
// The faster one between nodes.
NetworkAlgorithm ChooseAlgorithm(const Fabric& fabric, const Topology& topology, double bytes);
// 0 of one rank.
double AllReduceSeconds(const Fabric& fabric, const Topology& topology, double bytes);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_SCALING_COLLECTIVE_COST_H_
