// Pure.
#include "trainer/study/flips.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace breakeven {
namespace {

double MeanScore(const ScoreTable& table, std::span<const size_t> columns, size_t document) {
  double sum = 0;
  for (size_t column : columns) sum += table.columns[column][document];
  const double size = table.sizes.empty() ? 1 : table.sizes[document];
  return sum / (static_cast<double>(columns.size()) * size);
}

void JoinOthers(const std::set<std::string>& targets, ConfusionMatrix& matrix) {
  for (auto& [target, row] : matrix) {
    std::map<std::string, int64_t> joined;
    for (const auto& [prediction, count] : row) {
      joined[targets.count(prediction) > 0 ? prediction : kOtherLabel] += count;
    }
    row = std::move(joined);
  }
}

}  // namespace

FlipTable FindFlips(const StudyRecords& records, const ScoreTable& table,
                    std::span<const size_t> arm, std::span<const size_t> baseline) {
  FlipTable flips;
  for (size_t i = 0; i < records.documents.size(); ++i) {
    const double ours = MeanScore(table, arm, i);
    const double theirs = MeanScore(table, baseline, i);
    if (ours == theirs) continue;
    const auto differs = [&](size_t column) {
      return table.columns[column][i] != table.columns[baseline.front()][i];
    };
    const auto shown = std::find_if(arm.begin(), arm.end(), differs);
    const size_t column = shown == arm.end() ? arm.front() : *shown;
    const RecordDocument& document = records.documents[i];
    (ours > theirs ? flips.won : flips.lost)
        .push_back({i, document.id, document.group, document.target,
                    records.arms[column].predictions[i],
                    records.arms[baseline.front()].predictions[i], ours, theirs});
  }
  const auto larger = [](const Flip& a, const Flip& b) {
    return std::abs(a.arm_score - a.baseline_score) > std::abs(b.arm_score - b.baseline_score);
  };
  std::stable_sort(flips.won.begin(), flips.won.end(), larger);
  std::stable_sort(flips.lost.begin(), flips.lost.end(), larger);
  return flips;
}

ConfusionMatrix Confusion(const StudyRecords& records, size_t arm) {
  ConfusionMatrix matrix;
  for (size_t i = 0; i < records.documents.size(); ++i) {
    ++matrix[records.documents[i].target][records.arms[arm].predictions[i]];
  }
  return matrix;
}

Confusions FindConfusions(const StudyRecords& records, size_t arm, size_t baseline) {
  std::set<std::string> targets;
  for (const RecordDocument& document : records.documents) targets.insert(document.target);
  Confusions found;
  if (targets.size() > kMostLabels) {
    found.absent = "The documents have " + std::to_string(targets.size()) +
                   " different targets; a table of more than " + std::to_string(kMostLabels) +
                   " could not be read.";
    return found;
  }
  std::set<std::string> labels = targets;
  for (const size_t column : {arm, baseline}) {
    labels.insert(records.arms[column].predictions.begin(), records.arms[column].predictions.end());
  }
  found.arm = Confusion(records, arm);
  found.baseline = Confusion(records, baseline);
  if (labels.size() > kMostLabels) {
    JoinOthers(targets, found.arm);
    JoinOthers(targets, found.baseline);
  }
  return found;
}

}  // namespace breakeven
