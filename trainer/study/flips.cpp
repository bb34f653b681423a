// Pure.
#include "trainer/study/flips.h"

#include <algorithm>
#include <cmath>

namespace breakeven {
namespace {

double MeanScore(const ScoreTable& table, std::span<const size_t> columns, size_t document) {
  double sum = 0;
  for (size_t column : columns) sum += table.columns[column][document];
  const double size = table.sizes.empty() ? 1 : table.sizes[document];
  return sum / (static_cast<double>(columns.size()) * size);
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

}  // namespace breakeven
