// Pure.
#include "trainer/scaling/scaling_plan.h"

#include <algorithm>

namespace breakeven {
namespace {

constexpr char kOneRank[] = "one_rank";
constexpr char kNccl[] = "nccl";

GlobalBatchConfig BatchOf(const ScaleConfig& config, const ScalingCell& cell) {
  if (cell.scaling == "strong") return config.strong_batch;
  GlobalBatchConfig batch = config.weak_batch;
  batch.examples *= cell.world_size;
  batch.tokens *= cell.world_size;
  return batch;
}

TrainConfig CellTraining(const ScaleConfig& config, const ScalingCell& cell) {
  TrainConfig train = config.train;
  train.model = config.models.at(cell.model);
  train.batching.global_batch = BatchOf(config, cell);
  train.precision = cell.precision;
  // The fitted model's exchange is an all-reduce, its update one of all weights.
  if (!train.optimizer.shard.has_value()) train.optimizer.shard = false;
  const bool asked = cell.backend != kOneRank && cell.backend != kNccl;
  train.comm.backend = asked ? cell.backend : "auto";
  // One rank is what efficiency is against: on a GPU where the others are.
  if (config.backends.front() == kNccl) train.device.device = "cuda";
  return train;
}

std::vector<int64_t> Ascending(std::vector<int64_t> values) {
  std::sort(values.begin(), values.end());
  return values;
}

// One training for each batch size and precision of a model: other back ends and networks learn the same.
void AddTrainings(const ScaleConfig& config, const std::vector<ScalingCell>& cells,
                  std::vector<ScalingRun>& runs) {
  for (const ScalingCell& cell : cells) {
    const bool first = cell.network == config.Networks().begin()->first &&
                       (cell.backend == kOneRank || cell.backend == config.backends.front());
    if (first) runs.push_back({RunKind::kTrain, cell, 0, "train_" + cell.Name()});
  }
}

}  // namespace

std::string ScalingCell::Name() const {
  return model + "_" + scaling + "_n" + std::to_string(world_size) + "_" + backend + "_" +
         precision + "_" + network;
}

std::vector<ScalingCell> PlanCells(const ScaleConfig& config) {
  std::vector<ScalingCell> cells;
  const auto networks = config.Networks();
  for (const auto& [model, source] : config.models) {
    for (const std::string& scaling : config.scaling) {
      for (const std::string& precision : config.precisions) {
        for (const auto& [network, how] : networks) {
          for (const int64_t n : Ascending(config.world_sizes)) {
            if (n == 1 && network != networks.begin()->first) continue;
            const std::vector<std::string> one = {kOneRank};
            for (const std::string& backend : n == 1 ? one : config.backends)
              cells.push_back({model, scaling, n, backend, precision, network});
          }
        }
      }
    }
  }
  return cells;
}

std::vector<ScalingRun> PlanRuns(const ScaleConfig& config) {
  std::vector<ScalingRun> runs;
  for (const auto& [network, how] : config.Networks()) {
    for (const int64_t n : Ascending(config.world_sizes)) {
      if (n == 1 || !config.all_reduce || config.models.empty()) continue;
      ScalingCell cell;
      cell.world_size = n;
      cell.network = network;
      runs.push_back(
          {RunKind::kAllReduce, cell, 0, "allreduce_n" + std::to_string(n) + "_" + network});
    }
  }
  const std::vector<ScalingCell> cells = PlanCells(config);
  for (int64_t repeat = 0; repeat < config.repeats; ++repeat) {
    std::vector<ScalingCell> order = cells;
    if (repeat % 2 == 1) std::reverse(order.begin(), order.end());
    for (const ScalingCell& cell : order) {
      runs.push_back({RunKind::kStep, cell, repeat,
                      "step_" + cell.Name() + "_r" + std::to_string(repeat + 1)});
    }
  }
  if (config.quality_epochs > 0) AddTrainings(config, cells, runs);
  return runs;
}

StepBenchConfig StepConfigOf(const ScaleConfig& config, const ScalingRun& run) {
  StepBenchConfig bench;
  bench.train = CellTraining(config, run.cell);
  bench.train.prompt_eval.reset();
  bench.train.validation = {};
  bench.steps = config.steps;
  bench.warmup_steps = config.warmup_steps;
  bench.control_batches = run.cell.world_size > 1 ? config.control_batches : 0;
  return bench;
}

TrainConfig TrainConfigOf(const ScaleConfig& config, const ScalingRun& run,
                          const std::string& folder) {
  TrainConfig train = CellTraining(config, run.cell);
  train.output = folder;
  train.epochs = config.quality_epochs;
  train.max_steps = 0;
  train.resume = "auto";
  return train;
}

AllReduceBenchConfig AllReduceConfigOf(const ScaleConfig& config) {
  AllReduceBenchConfig bench;
  bench.backends = config.backends;
  bench.device = config.train.device;
  // What gradient buckets are, and less for the latency; rewritten before each call as backward does.
  bench.sizes = {1 << 10, 1 << 14, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26};
  bench.rewrite = true;
  return bench;
}

}  // namespace breakeven
