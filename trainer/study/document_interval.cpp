// Pure.
#include "trainer/study/document_interval.h"

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "comm/base/error.h"
#include "trainer/statistics/bootstrap.h"

namespace breakeven {

DocumentInterval::DocumentInterval(const ScoreTable& table, std::vector<double> differences,
                                   std::optional<PairedCounts> counts,
                                   std::vector<double> distribution)
    : counts_(counts),
      distribution_(std::move(distribution)),
      unit_interval_(table.unit_interval && table.sizes.empty()) {
  std::sort(distribution_.begin(), distribution_.end());
  const bool grouped = !table.groups.empty();
  num_differing_ = std::count_if(differences.begin(), differences.end(),
                                 [](double difference) { return difference != 0; });
  if (unit_interval_) scaled_ = SummariseDifferences(differences, table.groups);
  const Units units = MakeUnits(std::span(&differences, 1), table.sizes, table.groups);
  student_ = EstimateMean(units, SmallSample::kLeverage);
  if (!distribution_.empty()) jackknife_ = JackknifeMeans(units);

  const bool enough = static_cast<int64_t>(differences.size()) >= kMinBcaDocuments &&
                      num_differing_ >= kMinBcaDiffering;
  if (counts_.has_value() && !grouped) {
    method_ = IntervalMethod::kScore;
  } else if (!grouped && enough && Has(IntervalMethod::kBca)) {
    method_ = IntervalMethod::kBca;
  } else if (unit_interval_) {
    method_ = IntervalMethod::kScaledScore;
  }
}

bool DocumentInterval::Has(IntervalMethod method) const {
  switch (method) {
    case IntervalMethod::kScore:
      return counts_.has_value();
    case IntervalMethod::kScaledScore:
      return unit_interval_;
    case IntervalMethod::kBca:
      return !distribution_.empty() && jackknife_.size() > 1;
    default:
      return method == IntervalMethod::kStudent;
  }
}

Interval DocumentInterval::By(IntervalMethod method, double confidence) const {
  BE_CHECK(Has(method), std::string(IntervalMethodName(method)));
  switch (method) {
    case IntervalMethod::kScore:
      return TangoInterval(static_cast<double>(counts_->won), static_cast<double>(counts_->lost),
                           static_cast<double>(counts_->total()), confidence);
    case IntervalMethod::kScaledScore:
      return ScaledScoreInterval(scaled_, confidence);
    case IntervalMethod::kBca:
      return BcaInterval(distribution_, student_.value, jackknife_, confidence);
    default:
      return StudentInterval(student_, confidence);
  }
}

}  // namespace breakeven
