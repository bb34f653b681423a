// Pure. The runs of a scaling sweep, in the order in which they are done.
#ifndef BREAKEVEN_TRAINER_SCALING_SCALING_PLAN_H_
#define BREAKEVEN_TRAINER_SCALING_SCALING_PLAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "comm/all_reduce_bench.h"
#include "trainer/scaling/scale_config.h"
#include "trainer/step_bench.h"

namespace breakeven {

struct ScalingCell {
  std::string model;
  std::string scaling;  // strong | weak
  int64_t world_size = 1;
  std::string backend;  // "one_rank" where there is nothing to exchange
  std::string precision;
  std::string network;
  std::string Name() const;  // "smollm2_strong_n2_mpi_float32_node"
  bool operator==(const ScalingCell&) const = default;
};

// Ascending by model, scaling, precision, network, world size, back end. One rank stands once, whatever the back ends.
std::vector<ScalingCell> PlanCells(const ScaleConfig& config);

enum class RunKind { kAllReduce, kStep, kTrain };
struct ScalingRun {
  RunKind kind = RunKind::kStep;
  ScalingCell cell;  // kAllReduce: world_size and network alone
  int64_t repeat = 0;
  std::string name;  // of its files below OUTPUT/cells
};
// Collectives first; then every cell once, and once again backwards, and so on, so that a machine that slows down does so
// for all; last the trainings that compare what is learned.
std::vector<ScalingRun> PlanRuns(const ScaleConfig& config);

// What a run is started with.
StepBenchConfig StepConfigOf(const ScaleConfig& config, const ScalingRun& run);
TrainConfig TrainConfigOf(const ScaleConfig& config, const ScalingRun& run,
                          const std::string& folder);
AllReduceBenchConfig AllReduceConfigOf(const ScaleConfig& config);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_SCALING_SCALING_PLAN_H_
