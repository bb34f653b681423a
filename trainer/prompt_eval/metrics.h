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

// acc: the likeliest choice; acc_norm, acc_bytes: the likeliest per code point, per UTF-8 byte; ties: the
// first. brier_score: Σ (p − [right])² over the choices, p their likelihoods normalised to sum 1 (as the
// harness; 0 to 2). target_loglikelihood: of the right choice, nats. calibration_error: has no value of a
// document. `prediction` is the choice that the first of `metrics` picks. Error(kBadData) when a
// likelihood is not a number.
DocumentOutcome ScoreChoices(const DocumentRequests& document, std::span<const RequestScore> scores,
                             std::span<const std::string> metrics);

// Per document: exp of minus the log-likelihood per word or byte, and bits per byte.
DocumentOutcome ScoreRolling(const DocumentRequests& document,
                             std::span<const RequestScore> windows,
                             std::span<const std::string> metrics);

// exact_match under `options`; f1, rouge_l: text_metrics.h.
DocumentOutcome ScoreGeneration(const DocumentRequests& document, const std::string& text,
                                std::span<const std::string> metrics,
                                const ExactMatchConfig& options);

// `text` as exact_match compares it.
std::string NormaliseForMatch(std::string_view text, const ExactMatchConfig& options);

// Over documents: means with their standard errors; calibration_error, the expected one of Guo et al. 2017
// over ten bins of equal width (no standard error: NaN); perplexities from sums over sums (never a mean
// of means), with the standard error of the ratio carried through exp.
std::map<std::string, MetricValue> AggregateMetrics(std::span<const std::string> metrics,
                                                    std::span<const DocumentRequests> documents,
                                                    std::span<const DocumentOutcome> outcomes);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_METRICS_H_
