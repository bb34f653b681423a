// Pure.
#include "trainer/prompt_eval/metrics.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <numbers>

#include "comm/base/error.h"
#include "data_pipeline/template/unicode.h"
#include "trainer/prompt_eval/text_metrics.h"
#include "trainer/statistics/calibration.h"
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

// Choices' likelihoods normalised to sum 1.
std::vector<double> ChoiceProbabilities(std::span<const RequestScore> scores) {
  std::vector<double> loglikelihoods;
  for (const RequestScore& score : scores) loglikelihoods.push_back(score.loglikelihood);
  return NormalisedProbabilities(loglikelihoods);
}

// The confidence of a document is the probability of its likeliest choice.
double ExpectedCalibrationError(std::span<const DocumentRequests> documents,
                                std::span<const DocumentOutcome> outcomes) {
  constexpr int64_t kBins = 10;
  std::vector<double> confidences;
  std::vector<double> correct;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    const std::vector<double> probabilities = ChoiceProbabilities(outcomes[i].texts);
    const size_t picked = ArgMax(probabilities);
    confidences.push_back(probabilities[picked]);
    correct.push_back(static_cast<int64_t>(picked) == documents[i].gold ? 1 : 0);
  }
  return CalibrationError(confidences, correct, kBins).expected_error;
}

}  // namespace

DocumentOutcome ScoreChoices(const DocumentRequests& document, std::span<const RequestScore> scores,
                             std::span<const std::string> metrics) {
  DocumentOutcome outcome;
  outcome.target = document.target;
  outcome.texts.assign(scores.begin(), scores.end());
  std::vector<double> sums;
  std::vector<double> per_char;
  std::vector<double> per_byte;
  for (size_t i = 0; i < scores.size(); ++i) {
    CheckNumber(scores[i].loglikelihood);
    sums.push_back(scores[i].loglikelihood);
    per_char.push_back(scores[i].loglikelihood / static_cast<double>(document.texts[i].num_chars));
    per_byte.push_back(scores[i].loglikelihood / static_cast<double>(document.texts[i].num_bytes));
  }
  for (const std::string& metric : metrics) {
    const bool by_byte = metric == "acc_bytes";
    const size_t picked = ArgMax(by_byte ? per_byte : metric == "acc_norm" ? per_char : sums);
    if (metric.starts_with("acc")) {
      outcome.metrics[metric] = static_cast<int64_t>(picked) == document.gold ? 1 : 0;
    } else if (metric == "brier_score") {
      outcome.metrics[metric] =
          BrierScore(ChoiceProbabilities(scores), static_cast<size_t>(document.gold));
    } else if (metric == "target_loglikelihood") {
      outcome.metrics[metric] = sums[document.gold];
    }
    if (metric == metrics.front()) outcome.prediction = document.texts[picked].text;
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

DocumentOutcome ScoreGeneration(const DocumentRequests& document, const std::string& text,
                                std::span<const std::string> metrics,
                                const ExactMatchConfig& options) {
  DocumentOutcome outcome;
  outcome.target = document.target;
  outcome.prediction = text;
  for (const std::string& metric : metrics) {
    if (metric == "f1") {
      outcome.metrics[metric] = SquadF1(text, document.target);
    } else if (metric == "rouge_l") {
      outcome.metrics[metric] = RougeL(text, document.target);
    } else {
      const bool equal =
          NormaliseForMatch(text, options) == NormaliseForMatch(document.target, options);
      outcome.metrics[metric] = equal ? 1 : 0;
    }
  }
  return outcome;
}

std::string NormaliseForMatch(std::string_view text, const ExactMatchConfig& options) {
  std::string result = options.ignore_case ? unicode::Lower(text) : std::string(text);
  std::erase_if(result, [&](char c) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) return false;
    return (options.ignore_punctuation && std::ispunct(byte) != 0) ||
           (options.ignore_numbers && std::isdigit(byte) != 0);
  });
  return options.strip ? std::string(unicode::Strip(result)) : result;
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
