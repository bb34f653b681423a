// Pure. Where ranks waited for each other: how much of it was communication, how much one rank being
// late.
#ifndef BREAKEVEN_TRAINER_WAIT_SPLIT_H_
#define BREAKEVEN_TRAINER_WAIT_SPLIT_H_

#include <cstdint>
#include <vector>

#include "comm/control.h"

namespace breakeven {

// Of one step on one rank; as many waits on every rank.
struct StepWaits {
  std::vector<double> collectives;  // seconds that the training thread stood in each, in order
  double input = 0;                 // and waiting for its batch
};

struct WaitSplit {
  double exposed_communication = 0;  // seconds
  double skew = 0;                   // seconds, mean over ranks
  double input = 0;                  // seconds, mean over ranks
  int latest_rank = 0;               // stood the shortest in the step's collectives: waited for
};

// COLLECTIVE. No clock is compared between machines: whoever comes last to a collective waits for
// nobody, so the shortest stay in it, over ranks, is what it costs; what the others stayed longer is
// skew. One entry for each step.
std::vector<WaitSplit> SplitWaits(Control& control, const std::vector<StepWaits>& steps);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_WAIT_SPLIT_H_
