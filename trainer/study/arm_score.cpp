// Pure. The score of one arm, and the words for what comparisons say.
#include <algorithm>
#include <cmath>

#include "trainer/study/comparison.h"

namespace breakeven {
namespace {

bool AreHits(std::span<const double> scores) {
  return std::all_of(scores.begin(), scores.end(), [](double s) { return s == 0 || s == 1; });
}

}  // namespace

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kBetter:
      return "better";
    case Verdict::kWorse:
      return "worse";
    default:
      return "cannot tell";
  }
}

std::string_view IntervalMethodName(IntervalMethod method) {
  switch (method) {
    case IntervalMethod::kScore:
      return "score (Tango)";
    case IntervalMethod::kScaledScore:
      return "score, scaled by its variance ratio";
    case IntervalMethod::kBca:
      return "paired bootstrap (BCa)";
    case IntervalMethod::kStudent:
      return "Student's t";
    case IntervalMethod::kReplicates:
      return "Student's t over seeds";
    case IntervalMethod::kJoined:
      return "documents and seeds";
    default:
      return "hierarchical bootstrap";
  }
}

ArmScore ScoreComparer::Score(std::span<const size_t> arm) const {
  std::vector<std::vector<double>> columns;
  std::vector<size_t> all;
  for (size_t column : arm) {
    all.push_back(columns.size());
    columns.push_back(table_.columns.at(column));
  }
  const Units units = MakeUnits(columns, table_.sizes, table_.groups);
  const RecipeEstimate estimate = CompareRecipes(units, all, {});
  ArmScore score{estimate.value, {}, StudentInterval(estimate.documents, config_.confidence)};
  const bool bounded = table_.unit_interval && table_.sizes.empty();
  if (bounded) {
    // Wilson's, for as many independent hits and misses as have this variance; at 0 or 1, as many as there are groups.
    const double p = std::clamp(estimate.value, 0.0, 1.0);
    const double variance = std::pow(estimate.documents.standard_error, 2);
    double groups = 0;
    for (double size : units.sizes) groups += size * size;
    const double n = static_cast<double>(table_.num_documents());
    const double least = n * n / groups;
    const double hits = variance > 0 ? std::max(least, p * (1 - p) / variance) : least;
    const bool exact = arm.size() == 1 && table_.groups.empty() && AreHits(columns[0]);
    const double count = exact ? n : hits;
    score.documents = WilsonInterval(p * count, count, config_.confidence);
  }
  score.interval = JoinReplicates(estimate, score.documents, config_.confidence);
  if (bounded) score.interval = score.interval.Within(0, 1);
  return score;
}

}  // namespace breakeven
