// Pure.
#include "trainer/prompt_eval/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "comm/base/error.h"
#include "trainer/statistics/calibration.h"
#include "trainer/statistics/confusion.h"
#include "trainer/statistics/mean.h"

namespace breakeven {
namespace {

void CheckNumber(double loglikelihood) {
  if (!std::isnan(loglikelihood)) return;
  throw Error(ErrorKind::kBadData,
              "a log-likelihood is not a number: the model's weights hold NaN or overflow; was its "
              "training stable?");
}

// Index of the largest, the first of equals.
size_t ArgMax(const std::vector<double>& values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

double PerUnit(const std::string& metric, double loglikelihood, double words, double bytes) {
  if (metric == "word_perplexity") return std::exp(-loglikelihood / words);
  if (metric == "byte_perplexity") return std::exp(-loglikelihood / bytes);
  return -loglikelihood / (bytes * std::numbers::ln2);
}

// Sums over sums of a rolling metric.
MetricValue RollingMetric(const std::string& metric, std::span<const DocumentRequests> documents,
                          std::span<const DocumentOutcome> outcomes) {
  std::vector<double> losses;
  std::vector<double> sizes;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    losses.push_back(-outcomes[i].texts.front().loglikelihood);
    const int64_t size =
        metric == "word_perplexity" ? outcomes[i].num_words : documents[i].texts.front().num_bytes;
    sizes.push_back(static_cast<double>(size));
  }
  const Estimate nats = RatioAndStandardError(losses, sizes);
  if (metric == "bits_per_byte") {
    return {nats.value / std::numbers::ln2, nats.standard_error / std::numbers::ln2};
  }
  const double perplexity = std::exp(nats.value);
  return {perplexity, perplexity * nats.standard_error};
}

// Does the metric divide sums by sums, not take a mean over documents?
bool IsRolling(std::string_view metric) {
  return metric == "word_perplexity" || metric == "byte_perplexity" || metric == "bits_per_byte";
}

// What choices are judged by.
std::vector<double> Likelihoods(const DocumentOutcome& outcome) {
  if (!outcome.calibrated.empty()) return outcome.calibrated;
  std::vector<double> loglikelihoods;
  for (const RequestScore& text : outcome.texts) loglikelihoods.push_back(text.loglikelihood);
  return loglikelihoods;
}

bool IsRight(const DocumentRequests& document, size_t picked) {
  const auto place = static_cast<int64_t>(picked);
  return place == document.gold ||
         std::find(document.golds.begin(), document.golds.end(), place) != document.golds.end();
}

// The confidence of a document is the probability of its likeliest choice.
double ExpectedCalibrationError(std::span<const DocumentRequests> documents,
                                std::span<const DocumentOutcome> outcomes) {
  constexpr int64_t kBins = 10;
  std::vector<double> confidences;
  std::vector<double> correct;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    const std::vector<double> probabilities = NormalisedProbabilities(Likelihoods(outcomes[i]));
    const size_t picked = ArgMax(probabilities);
    confidences.push_back(probabilities[picked]);
    correct.push_back(IsRight(documents[i], picked) ? 1 : 0);
  }
  return CalibrationError(confidences, correct, kBins).expected_error;
}

// Right and picked choices of all documents.
double ConfusionMetric(const std::string& metric, std::span<const DocumentRequests> documents,
                       std::span<const DocumentOutcome> outcomes) {
  std::vector<int64_t> right;
  std::vector<int64_t> picked;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    right.push_back(documents[i].gold);
    picked.push_back(static_cast<int64_t>(ArgMax(Likelihoods(outcomes[i]))));
    if (metric == "f1" && documents[i].texts.size() != 2) {
      throw Error(ErrorKind::kUsage, "metric f1 is that of choice 1 of two, but a document has " +
                                         std::to_string(documents[i].texts.size()) +
                                         " choices; leave it out, or use mcc");
    }
  }
  return metric == "f1" ? BinaryF1(right, picked) : MatthewsCorrelation(right, picked);
}

}  // namespace

DocumentOutcome ScoreChoices(const DocumentRequests& document, std::span<const RequestScore> scores,
                             std::span<const std::string> metrics, std::span<const double> priors) {
  DocumentOutcome outcome;
  outcome.target = document.target;
  outcome.texts.assign(scores.begin(), scores.end());
  for (size_t i = 0; i < scores.size(); ++i) {
    CheckNumber(scores[i].loglikelihood);
    if (!priors.empty()) outcome.calibrated.push_back(scores[i].loglikelihood - priors[i]);
  }
  const std::vector<double> sums = Likelihoods(outcome);
  std::vector<double> per_char;
  std::vector<double> per_byte;
  for (size_t i = 0; i < sums.size(); ++i) {
    per_char.push_back(sums[i] / static_cast<double>(document.texts[i].num_chars));
    per_byte.push_back(sums[i] / static_cast<double>(document.texts[i].num_bytes));
  }
  for (const std::string& metric : metrics) {
    const bool by_byte = metric == "acc_bytes";
    const size_t picked = ArgMax(by_byte ? per_byte : metric == "acc_norm" ? per_char : sums);
    if (metric.starts_with("acc")) {
      outcome.metrics[metric] = IsRight(document, picked) ? 1 : 0;
    } else if (metric == "brier_score") {
      outcome.metrics[metric] =
          BrierScore(NormalisedProbabilities(sums), static_cast<size_t>(document.gold));
    } else if (metric == "target_loglikelihood") {
      outcome.metrics[metric] = scores[static_cast<size_t>(document.gold)].loglikelihood;
    }
    if (metric == metrics.front()) outcome.prediction = document.texts[picked].text;
  }
  return outcome;
}

DocumentOutcome ScoreTarget(const DocumentRequests& document, const RequestScore& score,
                            std::span<const std::string> metrics) {
  CheckNumber(score.loglikelihood);
  DocumentOutcome outcome;
  outcome.target = document.target;
  if (score.is_greedy) outcome.prediction = document.target;
  outcome.texts.push_back(score);
  for (const std::string& metric : metrics) {
    outcome.metrics[metric] = metric == "acc"          ? (score.is_greedy ? 1 : 0)
                              : metric == "perplexity" ? std::exp(-score.loglikelihood)
                                                       : score.loglikelihood;
  }
  return outcome;
}

DocumentOutcome ScoreRolling(const DocumentRequests& document,
                             std::span<const RequestScore> windows,
                             std::span<const std::string> metrics) {
  DocumentOutcome outcome;
  RequestScore total;
  for (const RequestScore& window : windows) {
    CheckNumber(window.loglikelihood);
    total.loglikelihood += window.loglikelihood;
    total.is_greedy = total.is_greedy && window.is_greedy;
  }
  outcome.texts.push_back(total);
  outcome.num_words = CountWords(document.target);
  for (const std::string& metric : metrics) {
    outcome.metrics[metric] =
        PerUnit(metric, total.loglikelihood, static_cast<double>(outcome.num_words),
                static_cast<double>(document.texts.front().num_bytes));
  }
  return outcome;
}

std::map<std::string, MetricValue> AggregateMetrics(std::span<const std::string> metrics,
                                                    std::span<const DocumentRequests> documents,
                                                    std::span<const DocumentOutcome> outcomes) {
  std::map<std::string, MetricValue> result;
  for (const std::string& metric : metrics) {
    if (metric == "calibration_error") {
      result[metric] = {ExpectedCalibrationError(documents, outcomes),
                        std::numeric_limits<double>::quiet_NaN()};
      continue;
    }
    if (metric == "mcc" || (metric == "f1" && documents.front().gold >= 0)) {
      result[metric] = {ConfusionMetric(metric, documents, outcomes),
                        std::numeric_limits<double>::quiet_NaN()};
      continue;
    }
    if (metric == "perplexity") {
      std::vector<double> losses;
      for (const DocumentOutcome& outcome : outcomes) {
        losses.push_back(-outcome.texts.front().loglikelihood);
      }
      const Estimate mean = MeanAndStandardError(losses);
      const double perplexity = std::exp(mean.value);
      result[metric] = {perplexity, perplexity * mean.standard_error};
      continue;
    }
    if (IsRolling(metric)) {
      result[metric] = RollingMetric(metric, documents, outcomes);
      continue;
    }
    std::vector<double> values;
    for (const DocumentOutcome& outcome : outcomes) values.push_back(outcome.metrics.at(metric));
    const Estimate mean = MeanAndStandardError(values);
    result[metric] = {mean.value, mean.standard_error};
  }
  return result;
}

}  // namespace breakeven
