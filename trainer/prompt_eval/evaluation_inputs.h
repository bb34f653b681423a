// What an evaluation and its dry run look at before anything is scored.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_EVALUATION_INPUTS_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_EVALUATION_INPUTS_H_

#include "comm/world.h"
#include "trainer/prompt_eval/arm.h"
#include "trainer/prompt_eval/eval_config.h"

namespace breakeven {

// Errors(kUsage): EvalConfig::Validate's, and what an evaluation needs beyond it.
void CheckEvalConfig(const EvalConfig& config, bool needs_models, bool needs_output);
// COLLECTIVE. The data, the same on every rank.
EvalData ReadSameEvalData(const EvalConfig& config, World& world, int num_threads);
// COLLECTIVE. What makes scores say nothing is refused, what makes them say less is a warning.
void CheckEvalData(const EvalConfig& config, const EvalData& data, const ChatFormat& chat,
                   int num_threads, World& world);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_EVALUATION_INPUTS_H_
