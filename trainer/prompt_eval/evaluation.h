// Scores prompt variants on models: `breakeven eval`. Facade: no libtorch.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_EVALUATION_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_EVALUATION_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "comm/world.h"
#include "trainer/prompt_eval/eval_config.h"

namespace breakeven {

struct MetricValue {
  double value = 0;
  double standard_error = 0;  // NaN where n < 2 or the metric has none
};

// One row of the table.
struct ArmSummary {
  std::string model;
  std::string variant;
  std::string split;
  int64_t num_documents = 0;
  std::map<std::string, MetricValue> metrics;
  double seconds = 0;
  int64_t tokens = 0;  // fed to the model
  double mean_prompt_tokens = 0;
  int64_t num_truncated = 0;
  bool chosen = false;  // by dev, for the sealed split
};

struct EvalSummary {
  std::vector<ArmSummary> arms;
  std::string records_path;
};

// COLLECTIVE. Writes records.jsonl, summary.json and table.md under config.output. Records and
// scores are bit-equal for any number of ranks with the same threads per rank.
EvalSummary RunEvaluation(const EvalConfig& config, World& world);
std::string DryRunEvaluation(const EvalConfig& config, World& world);  // COLLECTIVE

// Markdown: model × variant, n, metric ± standard error, tokens, seconds.
std::string FormatTable(const EvalSummary& summary);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_EVALUATION_H_
