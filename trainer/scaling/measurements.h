// Pure. What the runs of a sweep gave: read from the JSON that `bench step` and `bench allreduce` print, and from metrics.jsonl.
#ifndef BREAKEVEN_TRAINER_SCALING_MEASUREMENTS_H_
#define BREAKEVEN_TRAINER_SCALING_MEASUREMENTS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace breakeven {

// One run of one cell. Seconds are of one step, medians over steps: a phase's are the mean over ranks, step_seconds the slowest
// rank's. tokens_per_second comes from mean_step_seconds.
struct StepMeasurement {
  int64_t world_size = 0;
  int64_t num_nodes = 1;
  int64_t threads = 1;
  std::string cpu;
  std::string gpu;              // "" = CPUs
  int64_t cpus_per_node = 0;    // that the job had
  int64_t cpus_of_machine = 0;  // likewise those of the whole node
  std::vector<std::string> hosts;
  std::string program;  // this and what is above: "" or 0 = an earlier program did not say
  std::string time;     // UTC
  std::string
      backend;        // that moved the gradients, whatever was asked for; "" = an earlier program's
  double tokens = 0;  // of a step, over all ranks
  double flops = 0;   // likewise
  double tokens_per_second = 0;
  double mean_step_seconds = 0;
  double step_seconds = 0;  // the median, as those below
  double input_seconds = 0;
  double compute_seconds = 0;  // forward and backward
  double update_seconds = 0;
  double exposed_communication_seconds = 0;  // no rank late: mean over ranks and steps
  double skew_seconds = 0;                   // waiting for a later rank
  double mfu = 0;
  double peak_memory_bytes = 0;
};
// Error(kBadData) naming `where`.
StepMeasurement ParseStepMeasurement(const std::string& json, const std::string& where);

struct CollectiveMeasurement {
  std::string backend;
  std::string network;
  int64_t world_size = 0;
  int64_t ranks_per_node = 0;
  double bytes = 0;
  double seconds = 0;  // median, of the slowest rank
  double bus_bytes_per_second = 0;
  bool correct = false;
};
std::vector<CollectiveMeasurement> ParseCollectives(const std::string& json,
                                                    const std::string& where);

// A whole training: what it learned, and what a checkpoint takes.
struct TrainMeasurement {
  double tokens = 0;
  int64_t steps = 0;
  double validation_loss = 0;            // the last one; NaN = none
  double checkpoint_seconds = 0;         // median of the saves; NaN = none
  std::map<std::string, double> scores;  // "task variant split metric", of the last checkpoint
};
TrainMeasurement ParseTraining(const std::string& metrics_jsonl, const std::string& where);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_SCALING_MEASUREMENTS_H_
