// Pure. The runs of a sweep brought together: one row a cell.
#ifndef BREAKEVEN_TRAINER_SCALING_SCALING_TABLE_H_
#define BREAKEVEN_TRAINER_SCALING_SCALING_TABLE_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "trainer/scaling/measurements.h"
#include "trainer/scaling/scaling_plan.h"
#include "trainer/statistics/interval.h"

namespace breakeven {

// Runs that are done, by name (ScalingRun::name), and what became of those that failed.
struct ScalingResults {
  std::map<std::string, StepMeasurement> steps;
  std::map<std::string, TrainMeasurement> trainings;
  std::vector<CollectiveMeasurement> collectives;
  std::map<std::string, std::string> failures;  // name → why
};

// Medians over repeats; NaN where there is nothing. Efficiency is a rank's tokens a second against a rank of the cell with
// fewest ranks of the same model, scaling and precision: repeats are paired, and its interval is Student's t on the logarithms
// of the pairs' ratios (drift that both share drops out). One repeat has no interval.
struct ScalingRow {
  ScalingCell cell;
  int64_t num_repeats = 0;
  int64_t num_failed = 0;
  int64_t ranks_per_node = 1;
  int64_t threads = 1;
  std::string
      backend;  // that moved the gradients: what `auto` was, or what a back end fell back to; "" = not known
  double tokens_per_second = 0;
  double slowest_tokens_per_second = 0;  // of the repeats
  double fastest_tokens_per_second = 0;
  double tokens = 0;        // of a step
  double flops = 0;         // of a rank and step
  double step_seconds = 0;  // the mean over steps
  double input_seconds = 0;
  double compute_seconds = 0;
  double update_seconds = 0;
  double exposed_communication_seconds = 0;
  double skew_seconds = 0;
  double checkpoint_seconds = 0;  // of a save; NaN = no training was part of the sweep
  double mfu = 0;
  double peak_memory_bytes = 0;
  double bus_bytes_per_second =
      0;  // of collectives of 16 MiB by `backend`, by themselves; NaN = not measured
  double rank_hours_per_million = 0;
  double price_per_million = 0;
  double efficiency = 0;
  Interval efficiency_interval;
  double speed_up = 0;  // tokens a second against the base
  std::optional<TrainMeasurement> learned;
};
// Another back end moved the gradients than was asked for. `auto` asks for none.
bool UsedAnotherBackend(const ScalingRow& row);
// "mpi", "nccl (asked for mpi)", "shared_memory (auto)".
std::string BackendLabel(const ScalingRow& row);
// The cell's name, which has what was asked for, with " [nccl]" behind where that was another or auto.
std::string RowLabel(const ScalingRow& row);

std::vector<ScalingRow> MakeScalingTable(const ScaleConfig& config, const ScalingResults& results);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_SCALING_SCALING_TABLE_H_
