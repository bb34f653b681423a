#include "comm/base/progress.h"
#include "trainer/optim/schedule.h"
#include "trainer/training_inputs.h"
#include "trainer/training_run.h"

namespace breakeven {

std::string DryRunTraining(const TrainConfig& config, World& world) {
  const TrainingInputs inputs = OpenTrainingInputs(config, world);
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
  text +=
      FormatMemory(EstimateMemory(inputs.model_config, config.batching.micro_batch_tokens)) + "\n";
  return text;
}

}  // namespace breakeven
