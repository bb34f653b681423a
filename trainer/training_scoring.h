// The prompts that a training run scores when it is done. No libtorch in it.
#ifndef BREAKEVEN_TRAINER_TRAINING_SCORING_H_
#define BREAKEVEN_TRAINER_TRAINING_SCORING_H_

#include "comm/world.h"
#include "trainer/prompt_eval/evaluation.h"
#include "trainer/training_config.h"
#include "trainer/training_run.h"

namespace breakeven {

// COLLECTIVE. The base model and every checkpoint that is kept, by config.prompt_eval, which must be
// there, into RUN/eval. `summary` is that of the training. Error(kSavedRequeue) when a signal came.
EvalSummary ScorePromptsAfter(const TrainSummary& summary, const TrainConfig& config, World& world);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_TRAINING_SCORING_H_
