// Pure. What the prompts of many documents begin with, found in tokens.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_SCORE_TRUNKS_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_SCORE_TRUNKS_H_

#include <span>

#include "trainer/prompt_eval/score_plan.h"

namespace breakeven {

// Fills plan.trunks, and trunk and fed_tokens of plan.units (which have none yet). A function of the
// complete list. Nothing changes where trunks would save less than a twentieth of all fed tokens.
void FindTrunks(std::span<const DocumentRequests> documents, ScorePlan& plan);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_SCORE_TRUNKS_H_
