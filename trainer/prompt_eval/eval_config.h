// Pure. The config of `breakeven eval` and of train's `prompt_eval:`. Facade: no libtorch.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_EVAL_CONFIG_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_EVAL_CONFIG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "comm/base/fields.h"
#include "comm/device_binding.h"
#include "comm/watchdog_config.h"
#include "data_pipeline/split_overlap.h"
#include "data_pipeline/task.h"
#include "trainer/precision.h"
#include "trainer/prompt_eval/prompt_search_config.h"

namespace breakeven {

// The prompts to compare; usually a file of its own.
struct VariantsConfig {
  std::vector<PromptConfig> variants;
  // Axis → option → what it sets. Files only: a reader puts every combination into `variants` (launch/config_grid.h).
  std::map<std::string, std::map<std::string, PromptConfig>> grid;
  void VisitFields(FieldVisitor& v);
};

struct EvalConfig {
  // Name → Hugging Face folder or checkpoint. Names "run@checkpoint" are checkpoints of one run:
  // where a sealed look is asked for, dev chooses one of them (and its variant) for the run; a name
  // without '@' is a run of its own.
  std::map<std::string, std::string> models;
  TaskConfig task;
  VariantsConfig prompts;
  std::optional<PromptSearchConfig> prompt_search;
  std::string split = "dev";
  // Test is looked at once: dev chooses one variant for each run, and only these are scored on
  // `sealed_split`.
  std::string sealed_split;             // "" = no sealed look
  std::string choose_by;                // metric for the choice; "" = the task's first
  bool allow_answer_in_prompt = false;  // variants that show what they ask for (answer_leak.h)
  OverlapConfig overlap;                // between the scored splits and that of the shots
  int64_t limit = 0;                    // first N documents of each split; 0 = all
  int64_t batch_tokens = 2048;          // per forward pass
  int64_t generation_batch = 16;        // prompts that are continued side by side
  int64_t max_length = 0;               // tokens that a request may have; 0 = the model's positions
  std::string rolling_bos = "clean";    // clean | lm_eval
  ExactMatchConfig exact_match;
  std::string output;   // folder for the files; "" in train = eval/ of the run folder
  int64_t threads = 0;  // per rank
  ScoringPrecision precision;
  DeviceConfig device;  // keys `device` and `allow_shared_gpu`; in train the run's hold
  std::optional<WatchdogConfig> watchdog;  // in train: absent = that of the run
  void VisitFields(FieldVisitor& v);
  void Validate() const;
};

// The run that a model's name belongs to: what stands before the first '@', else the whole name.
std::string RunOfModel(std::string_view model_name);

// "exact_match" of "exact_match,strict": the metric without the pipeline that found its answer.
std::string_view MetricKind(std::string_view metric);

// The task's metrics, or the usual ones of its output type when it names none; of a task with several filter pipelines
// each metric once for each, named "METRIC,PIPELINE".
std::vector<std::string> EvalMetrics(const TaskConfig& task);
// The prompts to compare; one, the task's own, when the config names none.
std::vector<PromptConfig> EvalVariants(const EvalConfig& config);

// The metric that dev chooses by, and whether less is better (perplexities, bits,
// Brier score, calibration error).
std::string ChoiceMetric(const EvalConfig& config);
bool LowerIsBetter(std::string_view metric);
// Whether each document has a score of its own, so that arms can be compared document by document;
// else the metric is of a whole split: mcc, calibration error, perplexity of a target, f1 of choices.
bool HasDocumentScores(const TaskConfig& task, std::string_view metric);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_EVAL_CONFIG_H_
