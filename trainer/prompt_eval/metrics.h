// Pure. Scores → metrics of a document and of an arm (one model under one variant on one split).
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_METRICS_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_METRICS_H_

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "data_pipeline/task.h"
#include "trainer/prompt_eval/eval_config.h"
#include "trainer/prompt_eval/evaluation.h"
#include "trainer/prompt_eval/requests.h"

namespace breakeven {

// What became of a document.
struct DocumentOutcome {
  std::string target;
  std::string prediction;
  std::map<std::string, double> metrics;
  std::vector<RequestScore>
      texts;  // parallel to DocumentRequests::texts; the windows of a rolling text are summed
  // Rolling text: what the metrics divide by.
  int64_t num_words = 0;
};

// acc: the likeliest choice; acc_norm: the likeliest per code point; ties: the first. `prediction`
// is the choice that the first of `metrics` picks. Error(kBadData) when a likelihood is not a
// number.
DocumentOutcome ScoreChoices(const DocumentRequests& document, std::span<const RequestScore> scores,
                             std::span<const std::string> metrics);

// Per document: exp of minus the log-likelihood per word or byte, and bits per byte.
DocumentOutcome ScoreRolling(const DocumentRequests& document,
                             std::span<const RequestScore> windows,
                             std::span<const std::string> metrics);

DocumentOutcome ScoreGeneration(const DocumentRequests& document, const std::string& text,
                                const ExactMatchConfig& options);

// `text` as exact_match compares it.
std::string NormaliseForMatch(std::string_view text, const ExactMatchConfig& options);

// Over documents: means with their standard errors; perplexities from sums over sums (never a mean
// of means), with the standard error of the ratio carried through exp.
std::map<std::string, MetricValue> AggregateMetrics(std::span<const std::string> metrics,
                                                    std::span<const DocumentRequests> documents,
                                                    std::span<const DocumentOutcome> outcomes);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_METRICS_H_
