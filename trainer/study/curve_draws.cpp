// Pure.
#include "trainer/study/curve_draws.h"

#include <cmath>
#include <limits>

#include "comm/base/random.h"
#include "trainer/statistics/curve_fit.h"
#include "trainer/statistics/distributions.h"

namespace breakeven {
namespace {

struct Spread {
  double standard_error = 0;  // of the replicates' mean; 0 for one replicate
  double degrees = 0;
};

Spread SpreadOf(const std::vector<double>& means, std::span<const size_t> columns) {
  if (columns.size() < 2) return {};
  const double count = static_cast<double>(columns.size());
  double centre = 0;
  for (size_t column : columns) centre += means[column] / count;
  double squares = 0;
  for (size_t column : columns) squares += std::pow(means[column] - centre, 2);
  return {std::sqrt(squares / ((count - 1) * count)), count - 1};
}

// Draws of Student's t for each size and the baseline of a resample.
class SpreadDraws {
 public:
  SpreadDraws(const CurveLayout& layout, const Units& units, uint64_t seed) : seed_(seed) {
    const std::vector<double> means = Means(units);
    for (const auto& columns : layout.columns) spreads_.push_back(SpreadOf(means, columns));
    spreads_.push_back(SpreadOf(means, layout.baseline));
  }
  // `place`: a size, or the number of sizes for the baseline.
  double At(size_t resample, size_t place) const {
    const Spread& spread = spreads_[place];
    if (spread.standard_error == 0) return 0;
    const double uniform =
        RandomUniform(seed_, static_cast<uint64_t>(RandomStream::kBootstrapSeeds),
                      resample * spreads_.size() + place);
    // The middle of the 2⁻⁵³ cell: never 0.
    return spread.standard_error * StudentQuantile(uniform + 0x1p-54, spread.degrees);
  }

 private:
  std::vector<Spread> spreads_;
  uint64_t seed_;
};

template <typename MeanOf>
Curve MakeCurve(const CurveLayout& layout, MeanOf&& mean_of) {
  Curve curve;
  for (const auto& columns : layout.columns) curve.scores.push_back(mean_of(columns));
  curve.baseline = mean_of(layout.baseline);
  return curve;
}

double MeanOver(std::span<const double> means, std::span<const size_t> columns) {
  double sum = 0;
  for (size_t column : columns) sum += means[column];
  return sum / static_cast<double>(columns.size());
}

void Shift(Units& units, std::span<const size_t> columns, double by) {
  if (by == 0) return;
  for (size_t u = 0; u < units.num_units(); ++u) {
    for (size_t column : columns) {
      units.sums[u * units.num_systems + column] += by * units.sizes[u];
    }
  }
}

}  // namespace

Curve ObservedCurve(const CurveLayout& layout, const Units& units) {
  const std::vector<double> means = Means(units);
  return MakeCurve(layout, [&](const auto& columns) { return MeanOver(means, columns); });
}

std::vector<Curve> DrawCurves(const CurveLayout& layout, const Units& units,
                              const ResampledMeans& resampled, uint64_t seed) {
  const SpreadDraws spreads(layout, units, seed);
  std::vector<Curve> curves;
  curves.reserve(resampled.num_resamples());
  for (size_t b = 0; b < resampled.num_resamples(); ++b) {
    const std::span<const double> means(&resampled.means[b * resampled.num_systems],
                                        resampled.num_systems);
    curves.push_back(
        MakeCurve(layout, [&](const auto& columns) { return MeanOver(means, columns); }));
    Curve& curve = curves.back();
    for (size_t j = 0; j < curve.scores.size(); ++j) curve.scores[j] += spreads.At(b, j);
    curve.baseline += spreads.At(b, curve.scores.size());
  }
  return curves;
}

double CrossingOf(const CurveLayout& layout, const Curve& curve) {
  std::vector<double> weights;
  for (const auto& columns : layout.columns) weights.push_back(static_cast<double>(columns.size()));
  const std::vector<double> fit = IsotonicFit(curve.scores, weights);
  size_t above = 0;
  while (above < fit.size() && fit[above] <= curve.baseline) ++above;
  if (above == fit.size()) return std::numeric_limits<double>::infinity();
  if (above == 0) return layout.sizes.front();
  const double fraction = (curve.baseline - fit[above - 1]) / (fit[above] - fit[above - 1]);
  const double low = std::log1p(layout.sizes[above - 1]);
  const double high = std::log1p(layout.sizes[above]);
  return std::expm1(low + fraction * (high - low));
}

double CrossingCoverage(const CurveLayout& layout, const Units& units, double confidence,
                        int64_t studies, int64_t resamples, uint64_t seed) {
  const double truth = CrossingOf(layout, ObservedCurve(layout, units));
  const SpreadDraws spreads(layout, units, seed);
  int64_t covered = 0;
  for (int64_t study = 0; study < studies; ++study) {
    Units drawn = ResampleUnits(units, {studies, seed}, study);
    for (size_t j = 0; j < layout.columns.size(); ++j) {
      Shift(drawn, layout.columns[j], spreads.At(static_cast<size_t>(study), j));
    }
    Shift(drawn, layout.baseline, spreads.At(static_cast<size_t>(study), layout.columns.size()));
    const uint64_t inner_seed = seed + 1 + static_cast<uint64_t>(study);
    const ResampledMeans resampled = BootstrapMeans(drawn, {resamples, inner_seed});
    std::vector<double> crossings;
    for (const Curve& curve : DrawCurves(layout, drawn, resampled, inner_seed)) {
      crossings.push_back(CrossingOf(layout, curve));
    }
    covered += PercentileInterval(std::move(crossings), confidence).Contains(truth) ? 1 : 0;
  }
  return static_cast<double>(covered) / static_cast<double>(studies);
}

}  // namespace breakeven
