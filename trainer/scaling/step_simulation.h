// Pure. A step of thousands of ranks, message by message: the same bucket schedule and the same algorithms as the closed form
// (step_schedule.h), every rank with a pace of its own.
//
// Each rank finishes its buckets at times stretched by its pace. A node begins bucket i when its last rank has it and bucket
// i − 1 has left; nodes exchange by ring or halving-doubling, each message waiting for both ends; a node's ranks go on when
// their node is done. The step ends with the last rank. Ranks that keep one pace give the closed form exactly.
//
// That agreement is in part by construction. A node has one clock: what its ranks do among themselves is not played through but
// takes the closed form's terms (TermsOf), as do the size of a ring's messages and the choice of the algorithm. Played through
// are the order of buckets, the messages between nodes, and who waits for whom. So it shows that the closed form adds up right
// between nodes, and what uneven ranks cost; it says nothing about the α and β, or about collectives inside a node.
#ifndef BREAKEVEN_TRAINER_SCALING_STEP_SIMULATION_H_
#define BREAKEVEN_TRAINER_SCALING_STEP_SIMULATION_H_

#include <cstdint>

#include "trainer/scaling/step_schedule.h"

namespace breakeven {

struct SimulationOptions {
  double pace_spread =
      0;  // standard deviation of ranks' compute time, relative; normal, from `seed`
  uint64_t seed = 0;
};

struct SimulatedStep {
  double step_seconds = 0;  // of the slowest rank
  double slowest_compute_seconds = 0;
  int64_t num_messages = 0;
};
// Overlapped schedules; without overlap collectives start behind backward.
SimulatedStep SimulateStep(const StepSchedule& schedule, const Fabric& fabric,
                           const Topology& topology, const SimulationOptions& options);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_SCALING_STEP_SIMULATION_H_
