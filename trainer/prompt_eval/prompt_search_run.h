// Asks a model for what a search among prompts wants to know. Needs ATen.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_PROMPT_SEARCH_RUN_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_PROMPT_SEARCH_RUN_H_

#include <functional>
#include <span>
#include <string>

#include "trainer/prompt_eval/arm.h"
#include "trainer/prompt_eval/prompt_search.h"

namespace breakeven {

// COLLECTIVE. Searches among `variants` on config.split with the model `name` in `folder`, which is loaded when the first
// score is missing. Scores that are in `known` are not asked again; new ones are entered there with their time and told to
// `on_score` (COLLECTIVE too), so that a search can go on where it was killed.
PromptSearchResult RunPromptSearch(const EvalConfig& config, const PromptSearchConfig& search,
                                   std::span<const PromptConfig> variants, const EvalData& data,
                                   const std::string& name, const std::string& folder, World& world,
                                   SearchScores& known, const std::function<void()>& on_score);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_PROMPT_SEARCH_RUN_H_
