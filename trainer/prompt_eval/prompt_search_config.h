// Pure. The config of a search among prompts. Facade: no libtorch.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_PROMPT_SEARCH_CONFIG_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_PROMPT_SEARCH_CONFIG_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "comm/base/fields.h"
#include "data_pipeline/task.h"

namespace breakeven {

struct PromptSearchConfig {
  int64_t budget_documents = 2000;  // documents that may be asked, over all candidates
  int64_t shot_sets = 4;  // for each variant whose shots are drawn: how many draws are candidates
  int64_t keep = 3;       // candidates that are scored on the whole split
  int64_t seed = 1;       // order of the documents
  std::string model;      // eval: which of `models` is asked; "" = the first by name
  void VisitFields(FieldVisitor& v);
  // Error(kUsage) where `metric`, which chooses, is no mean over documents of `task`, where two candidates that `variants`
  // make have one name, or where the budget does not give every candidate a document.
  void Validate(const TaskConfig& task, std::string_view metric,
                std::span<const PromptConfig> variants) const;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_PROMPT_SEARCH_CONFIG_H_
