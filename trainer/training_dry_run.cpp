// What is found out before the first step instead of behind it.
#include <algorithm>

#include "comm/base/error.h"
#include "comm/base/progress.h"
#include "comm/host_memory.h"
#include "trainer/memory_estimate.h"
#include "trainer/model/model.h"
#include "trainer/optim/schedule.h"
#include "trainer/process_resources.h"
#include "trainer/training_inputs.h"
#include "trainer/training_run.h"

namespace breakeven {
namespace {

BatchShape ShapeOf(const TokenDataset& dataset, const std::vector<int64_t>& examples) {
  BatchShape shape;
  for (const int64_t example : examples) {
    shape.tokens += dataset.example_tokens(example);
    shape.loss_rows += dataset.example_targets(example);
  }
  return shape;
}

void Grow(BatchShape& largest, const BatchShape& shape) {
  largest.tokens = std::max(largest.tokens, shape.tokens);
  largest.loss_rows = std::max(largest.loss_rows, shape.loss_rows);
}

// The largest micro-batches that the plan has; of a long run, those of its first steps speak for all.
MemoryShape MeasurePlan(const TrainConfig& config, const TrainingInputs& inputs,
                        const World& world) {
  constexpr int64_t kMostSteps = 512;
  MemoryShape shape;
  shape.world_size = world.world_size();
  shape.local_size = world.control->local_size();
  const bool ranks_are_threads = world.data != nullptr && world.data->name() == "thread";
  shape.shares_windows = !ranks_are_threads && config.comm.backend != "mpi";
  shape.shard = inputs.shard;
  shape.shares_weights = inputs.shard && shape.shares_windows && !world.device.is_cuda() &&
                         shape.local_size == shape.world_size && !HasSeveralNumaNodes();
  shape.bfloat16 = inputs.precision == "bfloat16";
  shape.activation_checkpointing = config.activation_checkpointing;
  const CheckpointConfig& saves = config.checkpoint;
  shape.checkpoint_copies =
      saves.asynchronous &&
      ((saves.every_steps > 0 && saves.every_steps < inputs.total_steps) ||
       saves.every_minutes > 0 || (saves.keep_best && inputs.validation != nullptr));
  shape.shares_folder = inputs.shares_folder;
  const int64_t steps =
      std::min({kMostSteps, inputs.total_steps, inputs.planner->num_steps(/*epoch=*/0)});
  for (int64_t step = 0; step < steps; ++step) {
    for (const auto& rank : inputs.planner->Plan(/*epoch=*/0, step).micro_batches) {
      for (const auto& examples : rank) Grow(shape.training, ShapeOf(*inputs.train, examples));
    }
  }
  if (inputs.validation == nullptr) return shape;
  for (const auto& examples :
       PlanOnePass(SizesOf(*inputs.validation), config.batching.micro_batch_tokens)) {
    Grow(shape.validation, ShapeOf(*inputs.validation, examples));
  }
  return shape;
}

// The estimate beside what this host has left for all of its ranks.
std::string DescribeMemory(const MemoryEstimate& estimate, const Control& control) {
  std::string text = FormatMemory(estimate) + "\n";
  const int64_t available = AvailableMemoryBytes();
  const int64_t wanted = (estimate.total() - estimate.mapped_from_others) * control.local_size();
  if (available == 0) return text;
  return text + "memory of this host: " + FormatCount(available >> 20) + " MiB available, " +
         FormatCount(wanted >> 20) + " MiB for its " + std::to_string(control.local_size()) +
         " rank(s)" +
         (wanted > available
              ? ": TOO LITTLE; use optimizer.shard: true, activation_checkpointing, a "
                "smaller batching.micro_batch_tokens, or fewer ranks a host\n"
              : "\n");
}

}  // namespace

MemoryEstimate EstimateMemory(const TrainConfig& config, const TrainingInputs& inputs,
                              const World& world) {
  return EstimateMemory(inputs.model_config, MeasurePlan(config, inputs, world));
}

EvalConfig PromptEvalBefore(const TrainConfig& config) {
  EvalConfig eval = *config.prompt_eval;
  if (!config.model.path.empty()) eval.models.emplace("base", config.model.path);
  if (eval.threads == 0) eval.threads = config.threads;
  return eval;
}

std::string CheckPromptEval(const TrainConfig& config, World& world) {
  RunTogether(*world.control, /*root_only=*/false, [&] { config.Validate(); });
  return DryRunEvaluation(PromptEvalBefore(config), world, /*needs_models=*/false);
}

std::string DryRunTraining(const TrainConfig& config, World& world) {
  const TrainingInputs inputs = OpenTrainingInputs(config, world);
  RunTogether(*world.control, /*root_only=*/true, [&] {
    if (!config.model.path.empty()) CheckWeights(config.model.path, inputs.model_config);
  });
  const TokenDataset& train = *inputs.train;
  std::string text = RankTable(world, inputs) + "\n";
  text += "model: " + inputs.model_config.model_type + ", " +
          FormatCount(inputs.model_config.num_parameters()) + " parameters, context of " +
          FormatCount(inputs.model_config.max_positions) + " tokens\n";
  text += "train data: " + FormatCount(train.num_examples()) + " examples, " +
          FormatCount(train.num_tokens()) + " tokens, " + FormatCount(train.num_targets()) +
          " of them targets\n";
  if (inputs.validation != nullptr) {
    text += "validation data: " + FormatCount(inputs.validation->num_examples()) + " examples, " +
            FormatCount(inputs.validation->num_targets()) + " target tokens\n";
  }
  text += "steps: " + FormatCount(inputs.total_steps) + " (" +
          FormatCount(inputs.planner->num_steps(0)) + " in the first epoch), warm-up over " +
          FormatCount(Schedule(config.schedule, inputs.total_steps).warmup_steps()) + "\n";
  text += "precision: " + inputs.precision + "\n";
  text += DescribeMemory(EstimateMemory(config, inputs, world), *world.control);
  if (config.prompt_eval.has_value()) text += "prompt_eval: " + CheckPromptEval(config, world);
  return text;
}

}  // namespace breakeven
