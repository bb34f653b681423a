// Pure. The scaling model fitted to measured cells, and how well it predicts cells that it has not seen.
//
//   step       = busy + exposed collectives + skew
//   busy       = crowd(n) · (a_model · FLOPs of a rank + c_model)
//   crowd(n)   = (1 + κ · (min(n, C) − 1)/(C − 1)) · max(1, n/C) · (1 + ω where n > C)
//   exposed    = g_back end · Σ buckets T(S), T by the α–β model (collective_cost.h), in a node stretched by max(1, n/C)
//   skew       = max(1, n/C) · (σ · busy + τ · exposed), σ and τ of the back end: waiting for ranks that come later
//
// n ranks of a node, C of them at once on its CPUs. κ: what neighbours cost (memory bandwidth, clock), ω: what more ranks than
// CPUs cost beyond taking turns. Least squares of relative errors: a, c, α, β, g, σ, τ ≥ 0 (Lawson & Hanson); κ and ω by search.
// Between nodes nothing is stretched: there ranks wait for the wire.
// κ needs a cell with neighbours; ω one with too many, beside one without; what cannot be told is 0.
#ifndef BREAKEVEN_TRAINER_SCALING_SCALING_FIT_H_
#define BREAKEVEN_TRAINER_SCALING_SCALING_FIT_H_

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "trainer/scaling/fabric_fit.h"
#include "trainer/scaling/measurements.h"

namespace breakeven {

struct FitCell {
  std::string compute;   // what a and c are fitted for: model and precision
  std::string exchange;  // what α, β and g are fitted for: back end and network
  bool shared_memory = false;
  bool overlapped = false;  // collectives run beside backward
  Topology topology;
  double cores = 1;             // ranks that a node runs at once
  double flops = 0;             // of a rank and step
  std::vector<double> buckets;  // bytes, in order; none: one rank
  double busy_seconds = 0;      // measured: a step without its collectives
  double exposed_communication_seconds = 0;
  double skew_seconds = 0;  // mean over ranks
  double step_seconds() const {
    return busy_seconds + exposed_communication_seconds + skew_seconds;
  }
  bool oversubscribed() const { return static_cast<double>(topology.ranks_on_node()) > cores; }
};

struct ComputeLaw {
  double seconds_per_flop = 0;
  double seconds_per_step = 0;
};
struct ScalingFit {
  std::map<std::string, ComputeLaw> compute;
  std::map<std::string, ExchangeLaw> exchange;
  double contention = 0;        // κ
  double oversubscription = 0;  // ω
  double Crowd(const Topology& topology, double cores) const;
  double Busy(const FitCell& cell) const;
  double Exposed(const FitCell& cell) const;
  double Skew(const FitCell& cell) const;
  double Step(const FitCell& cell) const { return Busy(cell) + Exposed(cell) + Skew(cell); }
  bool Knows(const FitCell& cell) const;  // every law that the cell needs, on every link
};

ScalingFit FitScaling(std::span<const FitCell> cells, std::span<const FitCollective> collectives);

// Relative errors of steps that the fit has not seen: predicted ÷ measured − 1; NaN where the others cannot tell.
struct LeftOut {
  std::vector<double> errors;  // one a cell
  double median_size = 0;      // of |error| over cells with no more ranks than cores; NaN = none
  double largest_size = 0;
  double oversubscribed_median = 0;  // of the others
  double oversubscribed_largest = 0;
  // Likewise, one a cell, of its exchange alone: of what is exposed; of overlapped ones, of what the buckets' collectives take
  // by themselves, against a fit of all.
  std::vector<double> exchange_errors = {};
};
LeftOut LeaveOneCellOut(std::span<const FitCell> cells, std::span<const FitCollective> collectives);
// All cells and collectives of a world size at once.
LeftOut LeaveOneWorldSizeOut(std::span<const FitCell> cells,
                             std::span<const FitCollective> collectives);

// The error that forecasts are given. They are of numbers of ranks that nobody measured, so it is that of unseen ones, where
// a fit without one has two others to stand on and at least two numbers could be predicted so; else that of unseen cells,
// which is of ranks that the fit has seen.
struct ForecastError {
  enum class Source { kUnknown, kCell, kWorldSize };
  Source source = Source::kUnknown;
  double size = 0;  // median of |relative error|; 0 = unknown
};
ForecastError ErrorOfForecasts(std::span<const FitCell> cells, const LeftOut& without_cell,
                               const LeftOut& without_world_size);
// The same of each exchange alone, by its name; a size with another left to stand on is enough.
std::map<std::string, ForecastError> ErrorsOfExchange(std::span<const FitCell> cells,
                                                      const LeftOut& without_cell,
                                                      const LeftOut& without_world_size);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_SCALING_SCALING_FIT_H_
