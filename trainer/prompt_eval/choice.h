// Pure. What dev chooses for the sealed look.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_CHOICE_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_CHOICE_H_

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "trainer/prompt_eval/evaluation.h"

namespace breakeven {

// What is not a number beats nothing, and anything else beats it.
bool IsBetter(double a, double b, bool lower_is_better);
// Index of the best score, the first of equals.
size_t BestOf(std::span<const double> scores, bool lower_is_better);

// One arm for each run (RunOfModel): the best by `metric` among all its checkpoints and variants,
// the first of equals; an arm whose metric is not a number is never better than another. Indices
// into `arms`, in order of their run's first arm.
std::vector<size_t> ChooseArms(std::span<const ArmSummary> arms, std::string_view metric);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_CHOICE_H_
