// Pure. Who holds a job up, from what every rank was doing when it stopped.
#ifndef BREAKEVEN_COMM_CULPRIT_H_
#define BREAKEVEN_COMM_CULPRIT_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "comm/heartbeat.h"

namespace breakeven {

enum class Life : uint32_t {
  kUnknown,  // nobody on its node answers
  kRunning,
  kStopped,  // its process is stopped: SIGSTOP, a debugger
  kFrozen,   // its process does not run, for whatever reason
  kDead,     // its process is gone
};

// One rank, as the watchdogs of its node saw it. Plain bytes: nodes send it to each other.
struct RankReport {
  int32_t rank = -1;
  Life life = Life::kUnknown;
  double seconds_without_progress = 0;
  double seconds_silent = 0;  // since its watchdog thread last ran
  Heartbeat heartbeat = {};
};

struct CulpritVerdict {
  std::vector<int> culprits;  // ranks; empty: all wait for each other alike
  std::string text;           // one sentence
};

// `reports` by rank, all ranks of the job; `hosts` likewise. In this order: ranks that died; that are stopped or frozen; nodes
// that do not answer; ranks that called another collective under the same number; ranks that are behind, in collectives begun
// on either plane, the most first; of ranks at the same place those that are in no collective (the others wait for them);
// and where all are inside the same one, the network.
CulpritVerdict FindCulprit(std::span<const RankReport> reports, std::span<const std::string> hosts);

// "ranks 0-2, 5 on node03; rank 7 on node04".
std::string ListRanks(std::span<const int> ranks, std::span<const std::string> hosts);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_CULPRIT_H_
