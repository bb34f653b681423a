// Pure. Which prompts are answered side by side, and what of them is fed once.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_GENERATION_PLAN_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_GENERATION_PLAN_H_

#include <cstdint>
#include <span>
#include <vector>

#include "trainer/prompt_eval/score_plan.h"

namespace breakeven {

struct GenerationLimits {
  int64_t batch_prompts = 1;   // at most, side by side
  int64_t batch_tokens = 1;    // about as many prompt tokens behind the trunk
  int64_t max_new_tokens = 0;  // of each
};

// A batch's units are numbers of prompts. A function of the complete list, as PlanScoring is. Of each prompt at least the last token
// stays behind the trunk.
BatchPlan PlanGeneration(std::span<const std::vector<int32_t>> prompts,
                         const GenerationLimits& limits, PrefixSharing sharing);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_GENERATION_PLAN_H_
