// What is found out before the first step instead of behind it.
#include "comm/base/error.h"
#include "comm/base/progress.h"
#include "trainer/model/model.h"
#include "trainer/optim/schedule.h"
#include "trainer/process_resources.h"
#include "trainer/training_inputs.h"
#include "trainer/training_run.h"

namespace breakeven {
namespace {

// The estimate beside what this host has left for all of its ranks.
std::string DescribeMemory(const MemoryEstimate& estimate, const Control& control) {
  std::string text = FormatMemory(estimate) + "\n";
  const int64_t available = AvailableMemoryBytes();
  const int64_t wanted = estimate.total() * control.local_size();
  if (available == 0) return text;
  return text + "memory of this host: " + FormatCount(available >> 20) + " MiB available, " +
         FormatCount(wanted >> 20) + " MiB for its " + std::to_string(control.local_size()) +
         " rank(s)" +
         (wanted > available ? ": TOO LITTLE; make batching.micro_batch_tokens smaller or spread "
                               "the ranks over more hosts\n"
                             : "\n");
}

}  // namespace

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
  text += DescribeMemory(EstimateMemory(inputs.model_config, config.batching.micro_batch_tokens),
                         *world.control);
  if (config.prompt_eval.has_value()) text += "prompt_eval: " + CheckPromptEval(config, world);
  return text;
}

}  // namespace breakeven
