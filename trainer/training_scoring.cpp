#include "trainer/training_scoring.h"

#include <string>

#include "comm/base/error.h"
#include "comm/watched_world.h"
#include "trainer/checkpoint/run_folder.h"

namespace breakeven {
namespace {

// The base model and every checkpoint that is kept, beside the models that the config names itself.
EvalSummary ScorePrompts(const TrainConfig& config, World& world) {
  EvalConfig eval = PromptEvalBefore(config);
  std::string names;  // rank 0's view of the folder, one a line
  RunTogether(*world.control, /*root_only=*/true, [&] {
    for (const auto& [name, path] : CheckpointsOf(config.output)) names += name + "\n";
  });
  world.control->Broadcast(names, /*root=*/0);
  for (size_t begin = 0; begin < names.size();) {
    const size_t end = names.find('\n', begin);
    const std::string name = names.substr(begin, end - begin);
    // Names with the same word before '@' are one run: dev chooses one of its checkpoints.
    eval.models.emplace("tuned@" + name, CheckpointsFolder(config.output) + "/" + name);
    begin = end + 1;
  }
  if (eval.output.empty()) eval.output = config.output + "/eval";
  SetWatch(world, eval.watchdog.value_or(config.watchdog));
  return RunEvaluation(eval, world);
}

}  // namespace

EvalSummary ScorePromptsAfter(const TrainSummary& summary, const TrainConfig& config,
                              World& world) {
  try {
    return ScorePrompts(config, world);
  } catch (const Error& error) {
    throw Error(
        error.kind(),
        "the training is done and saved in " + summary.last_checkpoint + "; " + error.what(),
        error.on_all_ranks());
  }
}

}  // namespace breakeven
