// Pure. The config of `breakeven eval` and of train's `prompt_eval:`. Facade: no libtorch.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_EVAL_CONFIG_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_EVAL_CONFIG_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "comm/base/fields.h"
#include "data_pipeline/task.h"

namespace breakeven {

// The prompts to compare; usually a file of its own.
struct VariantsConfig {
  std::vector<PromptConfig> variants;
  void VisitFields(FieldVisitor& v);
};

struct EvalConfig {
  std::map<std::string, std::string> models;  // name → Hugging Face folder or checkpoint
  TaskConfig task;
  VariantsConfig prompts;
  std::string split = "dev";
  // Test is looked at once: dev chooses one variant for each model, and only these are scored on `sealed_split`.
  std::string sealed_split;                   // "" = no sealed look
  std::string choose_by;                      // metric for the choice; "" = the task's first
  int64_t limit = 0;                          // first N documents; 0 = all
  int64_t batch_tokens = 2048;                // per forward pass
  std::string output;                         // folder for eval/; "" = the run folder
  int64_t threads = 0;                        // per rank
  void VisitFields(FieldVisitor& v);
  void Validate() const;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_EVAL_CONFIG_H_
