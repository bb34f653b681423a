// Pure. What a run folder tells about the time that going on will take.
#ifndef BREAKEVEN_LAUNCH_CLUSTER_HISTORY_H_
#define BREAKEVEN_LAUNCH_CLUSTER_HISTORY_H_

#include <cstdint>
#include <string>

namespace breakeven {

// Of the last run in a folder; zeros where there was none.
struct RunHistory {
  int64_t last_step = 0;
  double step_seconds = 0;  // median of the newest steps
  double longest_step_seconds = 0;
  double longest_save_seconds = 0;
};

// Reads the end of OUTPUT/metrics.jsonl; lines that are torn are passed over.
RunHistory ReadRunHistory(const std::string& output);

// How long before its time limit a job is told to save: twice the longest save, a step that has
// just begun, half a minute of Slurm's own delays; at least 120.
int64_t LeadSeconds(const RunHistory& history);

// What the steps that are left take at the median's speed, saves not counted; 0 where nothing is
// known.
double SecondsLeft(const RunHistory& history, int64_t total_steps);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_CLUSTER_HISTORY_H_
