// The training run: `breakeven train`. Facade: no libtorch.
#ifndef BREAKEVEN_TRAINER_TRAINING_RUN_H_
#define BREAKEVEN_TRAINER_TRAINING_RUN_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "comm/world.h"
#include "trainer/prompt_eval/evaluation.h"
#include "trainer/training_config.h"

namespace breakeven {

// What the console's last lines and `--json` say.
struct TrainSummary {
  int64_t steps = 0;
  int64_t epochs = 0;
  double seconds = 0;
  int64_t tokens = 0;  // without padding: there is none
  double tokens_per_second = 0;
  double compute_share = 0;        // of the time in steps; the four add to 1
  double communication_share = 0;  // exposed: not hidden behind computation
  double skew_share = 0;           // waiting for a rank that comes later, mean over ranks
  double input_share = 0;
  int64_t peak_memory_bytes = 0;  // largest rank
  int64_t skipped_steps = 0;      // non-finite
  double final_loss = 0;
  double best_validation_loss = 0;         // NaN without validation
  std::string last_checkpoint;             // path
  std::string best_checkpoint;             // path; "" without validation
  std::optional<EvalSummary> prompt_eval;  // with config.prompt_eval
};

// COLLECTIVE. Throws Error(kSavedRequeue) after SIGTERM, SIGINT or SIGUSR1 when everything is
// saved. `resolved_yaml` is what RUN/config.yaml shall say (the caller has the YAML printer); ""
// writes none. Installs its own signal handlers while it runs and puts the former ones back. With
// config.prompt_eval the base model and the saved checkpoints are scored at the end into RUN/eval.
TrainSummary RunTraining(const TrainConfig& config, World& world,
                         std::string_view resolved_yaml = "");

// COLLECTIVE. Everything that can be checked before the first step, and the memory estimate per
// rank; text for people.
std::string DryRunTraining(const TrainConfig& config, World& world);

// What `prompt_eval` will score beside the checkpoints; config.prompt_eval must be there.
EvalConfig PromptEvalBefore(const TrainConfig& config);
// COLLECTIVE. Data, templates and models of it, checked before the first step instead of after the
// last; text for people.
std::string CheckPromptEval(const TrainConfig& config, World& world);

// Names and folders of a run's checkpoints, "step_000120" → RUN/checkpoints/step_000120, oldest first,
// whatever is in them: who loads one checks it. Reads the file system of the calling rank only. Empty
// when there is none.
std::map<std::string, std::string> CheckpointsOf(const std::string& run_folder);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_TRAINING_RUN_H_
