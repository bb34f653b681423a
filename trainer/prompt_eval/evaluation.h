// Scores prompt variants on models: `breakeven eval`. Facade: no libtorch.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_EVALUATION_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_EVALUATION_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "comm/world.h"
#include "trainer/prompt_eval/eval_config.h"

namespace breakeven {

struct MetricValue {
  double value = 0;
  double standard_error = 0;  // NaN where n < 2
};

// One row of the table: a model under a variant on a split.
struct ArmSummary {
  std::string model;
  std::string variant;
  std::string split;
  int64_t num_documents = 0;
  std::map<std::string, MetricValue> metrics;
  double seconds = 0;          // wall clock
  double compute_seconds = 0;  // in forward passes, summed over ranks
  double trunk_seconds = 0;    // of `seconds`, on this rank, in what many documents begin with
  int64_t tokens = 0;          // fed to the model
  double mean_prompt_tokens = 0;
  int64_t num_truncated = 0;
  int64_t num_boundary_merges = 0;
  bool chosen = false;  // by dev, for the sealed split
  std::string model_hash;
  std::string template_hash;
};

// What a search among prompts did before the table.
struct PromptSearchSummary {
  std::string model;
  int64_t num_tried = 0;      // candidates
  int64_t num_documents = 0;  // asked, over all candidates
  std::vector<std::string> kept;
};

struct EvalSummary {
  std::string task;
  std::optional<PromptSearchSummary> search;
  std::vector<ArmSummary>
      arms;  // all on `split` in order of model and variant, then the chosen on the sealed split
  std::string choose_by;
  std::string sealed_split;  // "" = dev chose nothing
  std::string
      looked_at;     // the split of the look: sealed_split, or `split` where it is test; "" = none
  int64_t look = 0;  // which look at this split it was, counted from 1
  int64_t num_looks = 0;  // that the ledgers know of
  std::string records_path;
};

// COLLECTIVE. Writes records.jsonl, summary.json and table.md to config.output, each
// appearing whole or not at all. Records and scores are bit-equal for any number of ranks with the
// same threads per rank. Before a sealed split, or test, is scored, the look is written to ledger.jsonl there
// and to <data file>.ledger.jsonl. SIGTERM, SIGINT and SIGUSR1 end it between two batches with
// Error(kSavedRequeue) on all ranks. Arms that were scored whole are kept (kept_arms.h): the same
// command goes on behind them.
EvalSummary RunEvaluation(const EvalConfig& config, World& world);
// COLLECTIVE. Reads data, models' configs, tokenizers and headers of weights, builds every request of
// both splits, writes nothing; text for people. `needs_models` false: the config may name none yet
// (the checkpoints of a training that has not begun).
std::string DryRunEvaluation(const EvalConfig& config, World& world, bool needs_models = true);

// Markdown: model × variant, n, metric ± standard error, tokens, seconds; footnotes on what was
// chosen, looked at, cut.
std::string FormatTable(const EvalSummary& summary);
// The same as JSON: summary.json.
std::string FormatSummaryJson(const EvalSummary& summary);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_EVALUATION_H_
