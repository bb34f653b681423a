// Pure. Tables and calibration of the records that study_records.cpp reads.
#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <unordered_map>
#include <utility>

#include "comm/base/error.h"
#include "trainer/prompt_eval/eval_config.h"
#include "trainer/study/study_records.h"

namespace breakeven {
namespace {

// A metric that is computed from what records hold beside their metrics: its numerators, its sizes, its range.
struct Derived {
  std::vector<double> RecordArm::*values;
  double factor = 1;
  double offset = 0;
  std::vector<double> RecordArm::*sizes = nullptr;
  bool unit_interval = false;
};

const std::map<std::string, Derived>& DerivedMetrics() {
  static const std::map<std::string, Derived> kMetrics = {
      {"target_loglikelihood", {&RecordArm::target_loglikelihoods}},
      {"target_probability", {&RecordArm::target_probabilities, 1, 0, nullptr, true}},
      {"brier_score", {&RecordArm::briers, -0.5, 1, nullptr, true}},
      {"word_perplexity", {&RecordArm::loglikelihoods, 1, 0, &RecordArm::num_words}},
      {"byte_perplexity", {&RecordArm::loglikelihoods, 1, 0, &RecordArm::num_bytes}},
      {"bits_per_byte",
       {&RecordArm::loglikelihoods, std::numbers::log2e, 0, &RecordArm::num_bytes}},
  };
  return kMetrics;
}

std::string MetricsOf(const RecordArm& arm) {
  std::string names;
  for (const auto& [name, values] : arm.metrics) {
    if (!LowerIsBetter(name) || DerivedMetrics().contains(name)) {
      names += (names.empty() ? "" : ", ") + name;
    }
  }
  for (const auto& [name, derived] : DerivedMetrics()) {
    if (!(arm.*derived.values).empty() && arm.metrics.count(name) == 0) names += ", " + name;
  }
  return names;
}

[[noreturn]] void RefuseMetric(const RecordArm& arm, const std::string& metric) {
  throw Error(ErrorKind::kUsage, "arm " + arm.arm + " has no metric '" + metric +
                                     "' in its records; it has " + MetricsOf(arm));
}

// A document with one choice has no probabilities to compute from, but may have the metric itself.
const std::vector<double>& ColumnOf(const RecordArm& arm, const std::string& metric,
                                    const Derived& rule) {
  const std::vector<double>& derived = arm.*rule.values;
  const auto recorded = arm.metrics.find(metric);
  if (derived.empty() && rule.sizes == nullptr && recorded != arm.metrics.end()) {
    return recorded->second;
  }
  if (derived.empty()) RefuseMetric(arm, metric);
  return derived;
}

std::vector<uint64_t> NumberGroups(const StudyRecords& records) {
  std::vector<uint64_t> groups;
  std::unordered_map<std::string, uint64_t> numbers;
  bool any = false;
  for (size_t i = 0; i < records.documents.size(); ++i) {
    // A document without a group among others that have one stands alone.
    const std::string& group = records.documents[i].group;
    any = any || !group.empty();
    const std::string key = group.empty() ? "document " + std::to_string(i) : "group " + group;
    groups.push_back(numbers.try_emplace(key, numbers.size()).first->second);
  }
  return any ? groups : std::vector<uint64_t>();
}

}  // namespace

ScoreTable TableOf(const StudyRecords& records, const std::string& metric) {
  ScoreTable table;
  table.metric = metric;
  table.groups = NumberGroups(records);
  const auto derived = DerivedMetrics().find(metric);
  if (derived == DerivedMetrics().end()) {
    for (const RecordArm& arm : records.arms) {
      const auto found = arm.metrics.find(metric);
      if (found == arm.metrics.end()) RefuseMetric(arm, metric);
      table.columns.push_back(found->second);
      table.unit_interval =
          table.unit_interval && std::all_of(found->second.begin(), found->second.end(),
                                             [](double s) { return s >= 0 && s <= 1; });
    }
    // Ours have their place in DerivedMetrics, turned round. A file may name others, such as "byte_perplexity,mine".
    if (LowerIsBetter(metric)) {
      throw Error(ErrorKind::kUsage,
                  "metric '" + metric +
                      "' of the records is one of which less is better, and no score of a document "
                      "here; compare one of " +
                      MetricsOf(records.arms.front()));
    }
    return table;
  }
  const Derived& rule = derived->second;
  table.unit_interval = rule.unit_interval;
  if (rule.sizes != nullptr) table.sizes = records.arms.front().*rule.sizes;
  for (const RecordArm& arm : records.arms) {
    std::vector<double> column = ColumnOf(arm, metric, rule);
    for (double& value : column) value = rule.offset + rule.factor * value;
    table.columns.push_back(std::move(column));
  }
  return table;
}

std::optional<Calibration> CalibrationOf(const RecordArm& arm, int64_t num_bins) {
  if (arm.confidences.empty()) return std::nullopt;
  return CalibrationError(arm.confidences, arm.confident_hits, num_bins);
}

}  // namespace breakeven
