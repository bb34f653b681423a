// Pure. α and β of an exchange, from collectives by themselves.
#ifndef BREAKEVEN_TRAINER_SCALING_FABRIC_FIT_H_
#define BREAKEVEN_TRAINER_SCALING_FABRIC_FIT_H_

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <utility>

#include "trainer/scaling/collective_cost.h"

namespace breakeven {

// In a node oversubscribed ones stretch by ranks ÷ cores.
struct FitCollective {
  std::string exchange;
  bool shared_memory = false;
  Topology topology;
  double cores = 1;
  double bytes = 0;
  double seconds = 0;
};

struct ExchangeLaw {
  Fabric fabric;           // launch_seconds 0: the latencies have it
  double stretch = 1;      // g
  int64_t num_points = 0;  // collectives that were measured
  // Its collectives run beside backward (GPUs): g is of what backward did not hide at the sizes that were measured, and says
  // nothing of others, for backward hides a time, not a share.
  bool overlapped = false;
  // False: in all that was measured a node's link and the network count in one proportion, as where all of it was two nodes
  // of two ranks. Their sum is known there, which of them takes how much is not: `fabric` has it on either.
  bool links_told_apart = true;
  std::set<std::pair<int64_t, int64_t>> measured = {};  // ranks of a node, nodes
  // Shares of busy and exposed seconds that a rank waits for later ones besides: σ, τ.
  double skew_of_busy = 0;
  double skew_of_exposed = 0;

  // What ranks placed so take: on every link that they need, or, links not told apart, as was measured.
  bool Knows(const Topology& topology) const;
  // α and β of a link are its own: told apart, and of collectives by themselves where steps hide a part.
  bool TellsLinks() const { return links_told_apart && (num_points > 0 || !overlapped); }
  bool KnowsALink() const;
};

// How often ranks of a node take turns on its cores; 1 = never.
double Turns(const Topology& topology, double cores);

// Least squares of relative errors, α and β ≥ 0; columns as CollectiveTerms, between nodes by the better of both algorithms.
// Of `points` those of the exchange `name`; none: the law stays as it is.
void FitFabric(std::span<const FitCollective> points, const std::string& name, ExchangeLaw& law);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_SCALING_FABRIC_FIT_H_
