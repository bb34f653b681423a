// Pure.
#include "trainer/study/comparison.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "comm/base/error.h"
#include "trainer/statistics/distributions.h"
#include "trainer/statistics/multiple.h"
#include "trainer/statistics/power.h"
#include "trainer/study/document_interval.h"

namespace breakeven {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kFewDocuments = 30;
constexpr int64_t kFewGroups = 20;

bool AreHits(std::span<const double> scores) {
  return std::all_of(scores.begin(), scores.end(), [](double s) { return s == 0 || s == 1; });
}

bool Excludes(const Interval& interval, double value) {
  return interval.low > value || interval.high < value;
}

std::optional<int64_t> WholeNumber(double number) {
  if (!(number < 1e15)) return std::nullopt;
  return static_cast<int64_t>(std::ceil(number));
}

std::vector<double> MeanColumn(const ScoreTable& table, std::span<const size_t> columns) {
  std::vector<double> mean(table.num_documents());
  for (size_t column : columns) {
    for (size_t i = 0; i < mean.size(); ++i) {
      mean[i] += table.columns[column][i] / static_cast<double>(columns.size());
    }
  }
  return mean;
}

}  // namespace

// One comparison in the making.
class ScoreComparer::Work {
 public:
  Work(const ScoreComparer& comparer, std::span<const size_t> arm, std::span<const size_t> baseline)
      : comparer_(comparer), table_(comparer.table_), arm_(arm), baseline_(baseline) {
    std::vector<std::vector<double>> columns;
    std::vector<size_t> first;
    std::vector<size_t> second;
    for (size_t column : arm) first.push_back(Add(columns, column));
    for (size_t column : baseline) second.push_back(Add(columns, column));
    estimate_ = CompareRecipes(MakeUnits(columns, table_.sizes, table_.groups), first, second);
    differences_ = MeanColumn(table_, arm);
    const std::vector<double> subtracted = MeanColumn(table_, baseline);
    for (size_t i = 0; i < differences_.size(); ++i) differences_[i] -= subtracted[i];
    if (arm.size() == 1 && baseline.size() == 1 && table_.sizes.empty() && AreHits(columns[0]) &&
        AreHits(columns[1])) {
      counts_ = CountPairs(columns[0], columns[1]);
    }
    if (comparer.resampled_.num_resamples() > 0) distribution_ = Distribution();
    documents_.emplace(table_, differences_, counts_, distribution_);
  }

  bool replicated() const { return arm_.size() > 1 || baseline_.size() > 1; }

  Interval At(double confidence) const {
    const Interval documents = documents_->At(confidence);
    if (!replicated()) return documents;
    return Possible(JoinReplicates(estimate_, documents, confidence));
  }

  Comparison Finish() const {
    const VerdictConfig& config = comparer_.config_;
    Comparison result;
    result.num_documents = static_cast<int64_t>(table_.num_documents());
    const std::set<uint64_t> groups(table_.groups.begin(), table_.groups.end());
    result.num_groups = static_cast<int64_t>(groups.size());
    result.num_replicates = static_cast<int64_t>(arm_.size());
    result.num_baseline_replicates = static_cast<int64_t>(baseline_.size());
    result.arm_score = estimate_.first.mean;
    result.baseline_score = estimate_.second.mean;
    result.difference = estimate_.value;
    result.deciding = {replicated() ? IntervalMethod::kJoined : documents_->method(),
                       At(config.confidence)};
    result.others = Others();
    result.counts = counts_;
    if (counts_.has_value()) result.mcnemar = McNemar(counts_->won, counts_->lost);
    result.num_differing = documents_->num_differing();
    if (!groups.empty()) {
      result.design_effect = DesignEffect(differences_, table_.sizes, table_.groups);
    }
    const bool exact = !replicated() && documents_->method() == IntervalMethod::kScore;
    result.p_value = exact ? result.mcnemar->exact : PValue();
    result.adjusted_p_value = result.p_value;
    const Interval narrow = At(2 * config.confidence - 1);
    result.equivalent =
        narrow.low > -config.equivalence_margin && narrow.high < config.equivalence_margin;
    FillPower(result);
    FillCautions(result);
    return result;
  }

  const std::vector<double>& distribution() const { return distribution_; }
  double value() const { return estimate_.value; }
  double document_error() const { return estimate_.documents.standard_error; }

 private:
  bool bounded() const { return documents_->Has(IntervalMethod::kScaledScore); }
  // Student's t knows no bounds: few seeds would reach beyond every score that there is.
  Interval Possible(const Interval& interval) const {
    return bounded() ? interval.Within(-1, 1) : interval;
  }

  size_t Add(std::vector<std::vector<double>>& columns, size_t column) const {
    BE_CHECK(column < table_.columns.size(), std::to_string(column));
    columns.push_back(table_.columns[column]);
    return columns.size() - 1;
  }

  // The bootstrap's differences of the replicates' means.
  std::vector<double> Distribution() const {
    std::vector<double> coefficients(table_.columns.size());
    for (size_t column : arm_) coefficients[column] += 1 / static_cast<double>(arm_.size());
    for (size_t column : baseline_) {
      coefficients[column] -= 1 / static_cast<double>(baseline_.size());
    }
    return CombineResampled(comparer_.resampled_, coefficients);
  }

  std::vector<NamedInterval> Others() const {
    const double confidence = comparer_.config_.confidence;
    std::vector<NamedInterval> others;
    for (IntervalMethod method : {IntervalMethod::kScore, IntervalMethod::kScaledScore,
                                  IntervalMethod::kBca, IntervalMethod::kStudent}) {
      const bool decides = !replicated() && method == documents_->method();
      if (documents_->Has(method) && !decides) {
        others.push_back({method, documents_->By(method, confidence)});
      }
    }
    if (!replicated()) return others;
    others.push_back(
        {IntervalMethod::kReplicates, Possible(ReplicateInterval(estimate_, confidence))});
    if (distribution_.empty()) return others;
    const uint64_t seed = static_cast<uint64_t>(comparer_.config_.seed);
    std::vector<double> both = HierarchicalMeans(comparer_.resampled_, arm_, seed);
    const std::vector<double> subtracted =
        HierarchicalMeans(comparer_.resampled_, baseline_, seed + 1);
    for (size_t b = 0; b < both.size(); ++b) both[b] -= subtracted[b];
    others.push_back({IntervalMethod::kHierarchical, PercentileInterval(both, confidence)});
    return others;
  }

  // The smallest α whose interval leaves out 0, found to a part in 10⁴.
  double PValue() const {
    if (estimate_.value == 0) return 1;
    if (std::isnan(At(comparer_.config_.confidence).low)) return kNaN;
    // A bootstrap says nothing about what is rarer than its resamples.
    const double least = documents_->method() == IntervalMethod::kBca
                             ? 1 / static_cast<double>(distribution_.size())
                             : 1e-12;
    if (Excludes(At(1 - least), 0)) return least;
    double log_low = std::log(least);
    double log_high = 0;
    while (log_high - log_low > 1e-4) {
      const double middle = (log_low + log_high) / 2;
      (Excludes(At(-std::expm1(middle)), 0) ? log_high : log_low) = middle;
    }
    return std::exp(log_high);
  }

  // Square of what an effect must exceed to be seen with the config's power, as far as these parts go.
  double Needed(double variance, double degrees) const {
    if (variance == 0) return 0;
    const PowerOptions options{comparer_.config_.confidence, comparer_.config_.power};
    return std::pow(DetectableEffect(std::sqrt(variance), degrees, options), 2);
  }

  void FillPower(Comparison& result) const {
    const PowerOptions options{comparer_.config_.confidence, comparer_.config_.power};
    const double n = static_cast<double>(table_.num_documents());
    if (!replicated() && documents_->method() == IntervalMethod::kScore) {
      // As if at least two documents differed: with none, any effect would look detectable.
      const double discordance =
          std::min(1.0, std::max<double>(2, static_cast<double>(result.num_differing)) / n);
      result.minimum_detectable_effect = DetectableDifference(discordance, n, options);
      result.documents_to_settle =
          WholeNumber(DocumentsForDifference(discordance, estimate_.value, options));
      return;
    }
    double variance = std::pow(estimate_.documents.standard_error, 2);
    if (std::isnan(variance)) {  // one document, or one group: nothing can be seen
      result.minimum_detectable_effect = bounded() ? 1 : kInfinity;
      return;
    }
    if (bounded()) {
      variance = std::max(variance, 2 * documents_->scaled().bound / (n * n));
    }
    const double of_documents = Needed(variance, estimate_.documents.degrees);
    const double of_replicates = Needed(estimate_.first.variance, estimate_.first.degrees) +
                                 Needed(estimate_.second.variance, estimate_.second.degrees);
    result.minimum_detectable_effect = std::sqrt(of_documents + of_replicates);
    if (bounded())
      result.minimum_detectable_effect = std::min(1.0, result.minimum_detectable_effect);
    const double effect = estimate_.value * estimate_.value;
    if (effect > of_replicates) {
      result.documents_to_settle = WholeNumber(n * of_documents / (effect - of_replicates));
    }
    if (replicated() && effect > of_documents) {
      const double replicates = static_cast<double>(std::max(arm_.size(), baseline_.size()));
      result.replicates_to_settle =
          WholeNumber(std::max(2.0, replicates * of_replicates / (effect - of_documents)));
    }
  }

  static void FillCautions(Comparison& result) {
    if (result.num_documents < kFewDocuments) {
      result.cautions.push_back("Only " + std::to_string(result.num_documents) +
                                " test documents: little can be told apart by them.");
    }
    if (result.num_groups > 0 && result.num_groups < kFewGroups) {
      result.cautions.push_back("The test documents stand in only " +
                                std::to_string(result.num_groups) +
                                " groups, and groups are what counts.");
    }
    if (std::max(result.num_replicates, result.num_baseline_replicates) == 2) {
      result.cautions.push_back(
          "Two seeds say little about how much seeds differ: the interval is wide for that.");
    }
  }

  const ScoreComparer& comparer_;
  const ScoreTable& table_;
  std::span<const size_t> arm_;
  std::span<const size_t> baseline_;
  RecipeEstimate estimate_;
  std::vector<double> differences_;
  std::optional<PairedCounts> counts_;
  std::vector<double> distribution_;
  std::optional<DocumentInterval> documents_;
};

namespace {

void Decide(Comparison& result, double confidence) {
  const Interval& interval = result.deciding.interval;
  result.verdict = Verdict::kCannotTell;
  if (!(result.adjusted_p_value <= 1 - confidence)) return;
  if (interval.low > 0) result.verdict = Verdict::kBetter;
  if (interval.high < 0) result.verdict = Verdict::kWorse;
}

}  // namespace

void AdjustFamily(std::span<Comparison* const> family, double confidence) {
  std::vector<double> p_values;
  for (const Comparison* member : family) p_values.push_back(member->p_value);
  const std::vector<double> adjusted = HolmAdjusted(p_values);
  for (size_t i = 0; i < family.size(); ++i) {
    family[i]->adjusted_p_value = adjusted[i];
    Decide(*family[i], confidence);
  }
}

ScoreComparer::ScoreComparer(ScoreTable table, const VerdictConfig& config)
    : table_(std::move(table)),
      config_(config),
      units_(MakeUnits(table_.columns, table_.sizes, table_.groups)) {
  const BootstrapOptions options{config.resamples, static_cast<uint64_t>(config.seed)};
  if (config.resamples > 0) resampled_ = BootstrapMeans(units_, options);
}

Comparison ScoreComparer::Compare(std::span<const size_t> arm,
                                  std::span<const size_t> baseline) const {
  Comparison result = Work(*this, arm, baseline).Finish();
  Decide(result, config_.confidence);
  return result;
}

std::vector<Comparison> ScoreComparer::CompareFamily(std::span<const std::vector<size_t>> arms,
                                                     std::span<const size_t> baseline) const {
  std::vector<Work> work;
  std::vector<Comparison> results;
  std::vector<Comparison*> family;
  std::vector<double> values, errors;
  std::vector<std::vector<double>> distributions;
  for (const std::vector<size_t>& arm : arms) {
    work.emplace_back(*this, arm, baseline);
    results.push_back(work.back().Finish());
    values.push_back(work.back().value());
    errors.push_back(work.back().document_error());
    distributions.push_back(work.back().distribution());
  }
  double simultaneous = 0;
  if (resampled_.num_resamples() > 0) {
    // The bootstrap's critical value, as a confidence level for the intervals that decide; never below the single one.
    const double critical = MaxTCriticalValue(distributions, values, errors, config_.confidence);
    simultaneous = std::max(config_.confidence, 1 - StudentTwoSided(critical, kInfinity));
  }
  for (size_t i = 0; i < results.size(); ++i) {
    if (simultaneous > 0) results[i].simultaneous = work[i].At(simultaneous);
    family.push_back(&results[i]);
  }
  AdjustFamily(family, config_.confidence);
  return results;
}

}  // namespace breakeven
