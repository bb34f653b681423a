// Pure.
#include "trainer/statistics/curve_fit.h"

#include <algorithm>
#include <boost/math/tools/minima.hpp>
#include <cmath>
#include <limits>
#include <set>

namespace breakeven {
namespace {

constexpr double kMinExponent = 0.02;
constexpr double kMaxExponent = 4;
constexpr int kGrid = 48;

double Weight(std::span<const double> weights, size_t i) {
  return weights.empty() ? 1 : weights[i];
}

class Fit {
 public:
  Fit(std::span<const double> sizes, std::span<const double> errors,
      std::span<const double> weights)
      : errors_(errors), weights_(weights) {
    // Sizes relative to the smallest, so that n^−exponent neither vanishes nor overflows.
    smallest_ = *std::min_element(sizes.begin(), sizes.end());
    for (double size : sizes) logs_.push_back(std::log(size / smallest_));
  }

  // The best floor and scale for an exponent; `residual` is the weighted sum of squares.
  PowerLaw At(double exponent) const {
    double w = 0, wx = 0, wxx = 0, wy = 0, wxy = 0;
    for (size_t i = 0; i < logs_.size(); ++i) {
      const double weight = Weight(weights_, i);
      const double x = std::exp(-exponent * logs_[i]);
      w += weight;
      wx += weight * x;
      wxx += weight * x * x;
      wy += weight * errors_[i];
      wxy += weight * x * errors_[i];
    }
    const double determinant = w * wxx - wx * wx;
    PowerLaw best =
        With(exponent, (wy * wxx - wxy * wx) / determinant, (w * wxy - wx * wy) / determinant);
    if (determinant > 0 && best.floor >= 0 && best.scale >= 0) return best;
    const PowerLaw flat = With(exponent, std::max(0.0, wy / w), 0);
    const PowerLaw no_floor = With(exponent, 0, std::max(0.0, wxy / wxx));
    return flat.residual < no_floor.residual ? flat : no_floor;
  }

  PowerLaw Finish(PowerLaw law) const {
    double w = 0;
    for (size_t i = 0; i < logs_.size(); ++i) w += Weight(weights_, i);
    law.residual = std::sqrt(law.residual / w);
    law.scale *= std::pow(smallest_, law.exponent);
    return law;
  }

 private:
  PowerLaw With(double exponent, double floor, double scale) const {
    PowerLaw law{floor, scale, exponent, 0};
    for (size_t i = 0; i < logs_.size(); ++i) {
      const double rest = errors_[i] - floor - scale * std::exp(-exponent * logs_[i]);
      law.residual += Weight(weights_, i) * rest * rest;
    }
    return law;
  }

  std::span<const double> errors_;
  std::span<const double> weights_;
  std::vector<double> logs_;
  double smallest_ = 1;
};

}  // namespace

std::vector<double> IsotonicFit(std::span<const double> values, std::span<const double> weights) {
  struct Block {
    double sum;
    double weight;
    size_t count;
    double mean() const { return sum / weight; }
  };
  std::vector<Block> blocks;
  for (size_t i = 0; i < values.size(); ++i) {
    const double weight = Weight(weights, i);
    blocks.push_back({values[i] * weight, weight, 1});
    while (blocks.size() > 1 && blocks[blocks.size() - 2].mean() >= blocks.back().mean()) {
      const Block last = blocks.back();
      blocks.pop_back();
      blocks.back().sum += last.sum;
      blocks.back().weight += last.weight;
      blocks.back().count += last.count;
    }
  }
  std::vector<double> fit;
  for (const Block& block : blocks) fit.insert(fit.end(), block.count, block.mean());
  return fit;
}

double PowerLaw::At(double n) const { return floor + scale * std::pow(n, -exponent); }

std::optional<PowerLaw> FitPowerLaw(std::span<const double> sizes, std::span<const double> errors,
                                    std::span<const double> weights) {
  if (std::set<double>(sizes.begin(), sizes.end()).size() < 3) return std::nullopt;
  const Fit fit(sizes, errors, weights);
  const double step = std::log(kMaxExponent / kMinExponent) / (kGrid - 1);
  const auto exponent_at = [&](int i) { return kMinExponent * std::exp(step * i); };
  int best = 0;
  double smallest = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kGrid; ++i) {
    const double residual = fit.At(exponent_at(i)).residual;
    if (residual < smallest) {
      smallest = residual;
      best = i;
    }
  }
  // Brent's method between the neighbours of the best grid point.
  const double exponent =
      boost::math::tools::brent_find_minima([&](double g) { return fit.At(g).residual; },
                                            exponent_at(std::max(0, best - 1)),
                                            exponent_at(std::min(kGrid - 1, best + 1)), 40)
          .first;
  const PowerLaw refined = fit.At(exponent);
  return fit.Finish(refined.residual < smallest ? refined : fit.At(exponent_at(best)));
}

}  // namespace breakeven
