// `breakeven bench score`: documents a second on any config of `eval`. Facade: no libtorch.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_SCORE_BENCH_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_SCORE_BENCH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "comm/base/fields.h"
#include "comm/base/timing.h"
#include "comm/world.h"
#include "trainer/prompt_eval/eval_config.h"

namespace breakeven {

struct ScoreBenchConfig {
  EvalConfig
      eval;  // its keys stand at the top level; its first model is measured, `output` is not used
  int64_t repeats = 5;
  int64_t warmup_repeats = 1;
  void VisitFields(FieldVisitor& v);
  void Validate() const;
};

// One variant: all documents of the split, from templates to scores (or texts).
struct ScoreFigure {
  std::string variant;
  Timing seconds;          // of a whole pass, on the slowest rank
  Timing request_seconds;  // of it: templates and tokens, on rank 0
  int64_t num_documents = 0;
  int64_t fed_tokens = 0;      // to the model; trunks once
  int64_t request_tokens = 0;  // that requests would feed one by one
  int64_t new_tokens = 0;      // generated
  double documents_per_second = 0;
  // What the pass found, for comparisons with peers.
  std::vector<std::vector<double>> loglikelihoods;  // [document][request]
  std::vector<std::string> texts;
};

struct ScoreBenchReport {
  std::string model;
  std::string precision;  // resolved
  int64_t threads = 0;    // of rank 0
  std::vector<ScoreFigure> figures;
};

// COLLECTIVE. Scores the split and keeps nothing.
ScoreBenchReport MeasureScoring(const ScoreBenchConfig& config, World& world);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_SCORE_BENCH_H_
