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
  std::vector<double> calibrated;  // parallel to `texts` where the prompt is calibrated; else empty
  std::string generated;           // a generation's text before filters, where there are any
  // Rolling text: what the metrics divide by.
  int64_t num_words = 0;
};

// acc: the likeliest choice; acc_norm, acc_bytes: the likeliest per code point, per UTF-8 byte; ties: the
// first. brier_score: Σ (p − [right])² over the choices, p their likelihoods normalised to sum 1 (as the
// harness; 0 to 2). target_loglikelihood: of the right choice, nats. calibration_error, f1, mcc: have no value of a
// document. `prediction` is the choice that the first of `metrics` picks. `priors`: where the prompt is calibrated, the
// log-probability of each choice without content; it is taken from the log-likelihoods first, for all metrics but
// target_loglikelihood. Error(kBadData) when a likelihood is not a number.
DocumentOutcome ScoreChoices(const DocumentRequests& document, std::span<const RequestScore> scores,
                             std::span<const std::string> metrics,
                             std::span<const double> priors = {});

// acc: is the target what the model would say itself, token by token? perplexity: exp of minus its log-likelihood.
DocumentOutcome ScoreTarget(const DocumentRequests& document, const RequestScore& score,
                            std::span<const std::string> metrics);

// Per document: exp of minus the log-likelihood per word or byte, and bits per byte.
DocumentOutcome ScoreRolling(const DocumentRequests& document,
                             std::span<const RequestScore> windows,
                             std::span<const std::string> metrics);

// Over documents: means with their standard errors; calibration_error, the expected one of Guo et al. 2017
// over ten bins of equal width (no standard error: NaN); perplexities from sums over sums (never a mean
// of means), with the standard error of the ratio carried through exp; perplexity from the mean log-likelihood of
// documents (the harness's), its standard error likewise. f1 (of choice 1 of two) and mcc as scikit-learn's, without
// standard error.
std::map<std::string, MetricValue> AggregateMetrics(std::span<const std::string> metrics,
                                                    std::span<const DocumentRequests> documents,
                                                    std::span<const DocumentOutcome> outcomes);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_METRICS_H_
