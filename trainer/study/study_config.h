// Pure. The config of `breakeven study`. Facade: no libtorch.
#ifndef BREAKEVEN_TRAINER_STUDY_STUDY_CONFIG_H_
#define BREAKEVEN_TRAINER_STUDY_STUDY_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "comm/base/fields.h"
#include "data_pipeline/split_overlap.h"
#include "data_pipeline/task.h"
#include "trainer/prompt_eval/eval_config.h"
#include "trainer/study/verdict_config.h"
#include "trainer/training_config.h"

namespace breakeven {

// How every cell is trained; the keys mean what they mean in `train`. Model, data, seed, rate and folder are the study's.
struct RecipeConfig {
  double epochs = 1;
  int64_t max_steps = 0;  // the same for every size; 0 = `epochs`
  BatchingConfig batching;
  OptimizerConfig optimizer;  // learning_rate: where `learning_rates` is empty
  ScheduleConfig schedule;
  int64_t checkpoint_every_steps = 0;
  double checkpoint_every_minutes = 10;
  std::string precision = "float32";
  DeviceConfig device;
  std::string activation_checkpointing = "none";
  int64_t log_every_steps = 10;
  bool validate = true;  // the loss on dev at the end of each epoch, which chooses the checkpoint
  CommConfig comm;
  WatchdogConfig watchdog;
  PreflightConfig preflight;
  void VisitFields(FieldVisitor& v);
};

// Another task, to see what tuning lost beside what it won.
struct RegressionConfig {
  TaskConfig task;
  PromptConfig prompt;
  std::string split = "test";
  std::string metric;  // "" = the task's first
  int64_t limit = 0;
  void VisitFields(FieldVisitor& v);
};

struct StudyConfig {
  std::string title;
  std::string model;  // Hugging Face folder
  TaskConfig task;    // with the splits train, dev and test
  VariantsConfig prompts;
  std::optional<PromptSearchConfig> prompt_search;
  PromptConfig training_prompt;  // of training examples; without shots it is also the zero-shot arm
  std::string output;
  std::vector<int64_t> sizes;  // training examples, ascending
  std::vector<int64_t> seeds = {1, 2, 3};
  std::vector<double> learning_rates;  // dev chooses; empty = train.optimizer.learning_rate
  int64_t subset_seed = 1;             // order in which training examples are taken
  RecipeConfig train;
  int64_t max_tokens = 1024;       // of a training example
  std::string too_long = "error";  // error | truncate_prompt_left
  bool tuned_with_best_prompt = true;
  bool few_shot_at_equal_data = true;
  int64_t max_shots = 0;         // larger equal-data arms are left out; 0 = what the context holds
  bool allow_truncated = false;  // prompts that lose their start, in the verdict
  bool allow_small_dev = false;
  bool allow_answer_in_prompt = false;  // prompts that show what they ask for (answer_leak.h)
  OverlapConfig overlap;                // near duplicates between the splits
  std::string metric;                   // chooses and decides; "" = the task's first
  int64_t limit = 0;                    // first N documents of dev and of test
  int64_t batch_tokens = 2048;
  int64_t max_length = 0;
  ExactMatchConfig exact_match;
  int64_t timed_documents = 48;  // of dev, asked again to time serving; 0 = costs are not measured
  std::optional<RegressionConfig> regression;
  VerdictConfig verdict;
  CostConfig costs;
  int64_t threads = 0;
  ScoringPrecision precision;  // of scoring, the same for all arms; force_bfloat16 is for cells too
  void VisitFields(FieldVisitor& v);
  void Validate() const;

  std::vector<double> Rates() const;
  std::string Metric() const;
  // The training prompt as it asks: named, without shots.
  PromptConfig OwnPrompt() const;
  // The prompts to compare on dev, with the own one among them.
  std::vector<PromptConfig> Variants() const;
  // What the scorer reads.
  EvalConfig Scoring() const;
  EvalConfig RegressionScoring() const;

 private:
  // What holds for both, whatever is asked.
  EvalConfig CommonScoring() const;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_CONFIG_H_
