// Pure.
#include "trainer/study/learning_curve.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "comm/base/error.h"
#include "trainer/study/curve_draws.h"

namespace breakeven {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kCoverageResamples = 400;
constexpr size_t kFits = 1000;    // power laws fitted to resampled curves
constexpr int kPredictions = 25;  // places of the fitted curve
constexpr double kLookAhead = 4;  // times the largest size
constexpr size_t kSlopeSizes = 3;

CurveLayout LayoutOf(std::span<const CurveSize> sizes, std::span<const size_t> baseline) {
  CurveLayout layout;
  for (const CurveSize& size : sizes) {
    BE_CHECK(layout.sizes.empty() || layout.sizes.back() < static_cast<double>(size.num_examples),
             "sizes are not ascending at " + std::to_string(size.num_examples));
    BE_CHECK(!size.columns.empty(), std::to_string(size.num_examples) + " examples: no column");
    layout.sizes.push_back(static_cast<double>(size.num_examples));
    layout.columns.push_back(size.columns);
  }
  layout.baseline.assign(baseline.begin(), baseline.end());
  return layout;
}

// Least squares of score on log₂(1 + n) over the last sizes.
double GainPerDoubling(const CurveLayout& layout, const Curve& curve) {
  const size_t count = std::min(kSlopeSizes, curve.scores.size());
  if (count < 2) return kNaN;
  const size_t first = curve.scores.size() - count;
  double mean_x = 0;
  double mean_y = 0;
  for (size_t j = first; j < curve.scores.size(); ++j) {
    mean_x += std::log2(1 + layout.sizes[j]) / static_cast<double>(count);
    mean_y += curve.scores[j] / static_cast<double>(count);
  }
  double xy = 0;
  double xx = 0;
  for (size_t j = first; j < curve.scores.size(); ++j) {
    const double x = std::log2(1 + layout.sizes[j]) - mean_x;
    xy += x * (curve.scores[j] - mean_y);
    xx += x * x;
  }
  return xy / xx;
}

ExamplesToWin FindCrossing(const ScoreComparer& comparer, const CurveLayout& layout,
                           const std::vector<Curve>& draws) {
  const VerdictConfig& config = comparer.config();
  ExamplesToWin result;
  result.examples = CrossingOf(layout, ObservedCurve(layout, comparer.units()));
  if (std::isfinite(result.examples)) {
    result.kind = result.examples == layout.sizes.front() ? ExamplesToWin::Kind::kFromTheStart
                                                          : ExamplesToWin::Kind::kWithin;
  }
  std::vector<double> crossings;
  double within = 0;
  for (const Curve& curve : draws) {
    crossings.push_back(CrossingOf(layout, curve));
    within += std::isfinite(crossings.back()) ? 1 : 0;
  }
  result.probability_within = within / static_cast<double>(draws.size());
  result.interval = PercentileInterval(std::move(crossings), config.confidence);
  if (config.coverage_studies > 0) {
    result.measured_coverage =
        CrossingCoverage(layout, comparer.units(), config.confidence, config.coverage_studies,
                         kCoverageResamples, static_cast<uint64_t>(config.seed));
  }
  return result;
}

// The fit's inputs: tuned sizes only, as a distance from the best possible score.
class CurveFitter {
 public:
  CurveFitter(const CurveLayout& layout, double best) : best_(best) {
    for (size_t j = 0; j < layout.sizes.size(); ++j) {
      if (layout.sizes[j] <= 0) continue;
      places_.push_back(j);
      sizes_.push_back(layout.sizes[j]);
      weights_.push_back(static_cast<double>(layout.columns[j].size()));
    }
  }
  std::optional<PowerLaw> Fit(const Curve& curve) const {
    std::vector<double> errors;
    for (size_t place : places_) errors.push_back(best_ - curve.scores[place]);
    return FitPowerLaw(sizes_, errors, weights_);
  }
  // Where the law reaches the baseline; infinity where it never does.
  double Crossing(const PowerLaw& law, double baseline) const {
    const double room = best_ - baseline - law.floor;
    if (room <= 0 || law.scale <= 0) return kInfinity;
    return std::pow(law.scale / room, 1 / law.exponent);
  }
  const std::vector<double>& sizes() const { return sizes_; }
  double best() const { return best_; }

 private:
  double best_;
  std::vector<size_t> places_;
  std::vector<double> sizes_;
  std::vector<double> weights_;
};

std::optional<FittedCurve> FitCurve(const ScoreComparer& comparer, const CurveLayout& layout,
                                    const std::vector<Curve>& draws, bool extrapolate) {
  const CurveFitter fitter(layout, comparer.table().unit_interval ? 1 : 0);
  const Curve observed = ObservedCurve(layout, comparer.units());
  const std::optional<PowerLaw> law = fitter.Fit(observed);
  if (!law.has_value()) return std::nullopt;
  const double confidence = comparer.config().confidence;
  FittedCurve fit;
  fit.law = *law;
  fit.degrees_of_freedom = static_cast<int64_t>(fitter.sizes().size()) - 3;
  fit.asymptote = fitter.best() - law->floor;
  std::vector<PowerLaw> laws;
  std::vector<double> asymptotes, crossings;
  for (size_t b = 0; b < std::min(kFits, draws.size()); ++b) {
    laws.push_back(*fitter.Fit(draws[b]));
    asymptotes.push_back(fitter.best() - laws.back().floor);
    crossings.push_back(fitter.Crossing(laws.back(), draws[b].baseline));
  }
  fit.asymptote_interval = PercentileInterval(std::move(asymptotes), confidence);
  const double first = fitter.sizes().front();
  const double last = fitter.sizes().back() * kLookAhead;
  for (int i = 0; i < kPredictions; ++i) {
    const double n = first * std::pow(last / first, static_cast<double>(i) / (kPredictions - 1));
    std::vector<double> scores;
    for (const PowerLaw& drawn : laws) scores.push_back(fitter.best() - drawn.At(n));
    fit.predictions.push_back(
        {n, fitter.best() - law->At(n), PercentileInterval(std::move(scores), confidence)});
  }
  const double crossing = fitter.Crossing(*law, observed.baseline);
  if (extrapolate && std::isfinite(crossing)) {
    fit.examples_to_win = crossing;
    fit.examples_to_win_interval = PercentileInterval(std::move(crossings), confidence);
  }
  return fit;
}

}  // namespace

LearningCurve BuildLearningCurve(const ScoreComparer& comparer, std::span<const CurveSize> sizes,
                                 std::span<const size_t> baseline) {
  BE_CHECK(!sizes.empty() && !baseline.empty(), "a curve needs a size and a baseline");
  BE_CHECK(comparer.resampled().num_resamples() > 0, "a curve needs resamples");
  const CurveLayout layout = LayoutOf(sizes, baseline);
  LearningCurve curve;
  curve.baseline = comparer.Score(baseline);
  const std::vector<Comparison> family = comparer.CompareFamily(layout.columns, baseline);
  for (size_t j = 0; j < sizes.size(); ++j) {
    curve.points.push_back({sizes[j].num_examples, comparer.Score(sizes[j].columns), family[j]});
  }
  const uint64_t seed = static_cast<uint64_t>(comparer.config().seed);
  const std::vector<Curve> draws = DrawCurves(layout, comparer.units(), comparer.resampled(), seed);
  curve.examples_to_win = FindCrossing(comparer, layout, draws);
  for (const CurvePoint& point : curve.points) {
    if (point.against_baseline.verdict != Verdict::kBetter) continue;
    curve.examples_to_win.first_better_size = point.num_examples;
    break;
  }
  curve.gain_per_doubling = GainPerDoubling(layout, ObservedCurve(layout, comparer.units()));
  curve.gain_interval = {kNaN, kNaN};
  if (!std::isnan(curve.gain_per_doubling)) {
    std::vector<double> slopes;
    for (const Curve& drawn : draws) slopes.push_back(GainPerDoubling(layout, drawn));
    curve.gain_interval = PercentileInterval(std::move(slopes), comparer.config().confidence);
  }
  const bool beyond = curve.examples_to_win.kind == ExamplesToWin::Kind::kNotWithinData;
  curve.fit = FitCurve(comparer, layout, draws, beyond);
  return curve;
}

}  // namespace breakeven
