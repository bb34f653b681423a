// Pure.
#include "trainer/scaling/scaling_fit.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "trainer/statistics/bootstrap.h"
#include "trainer/statistics/nonnegative.h"

namespace breakeven {
namespace {

constexpr double kLargestContention = 4;
constexpr double kLargestOversubscription = 4;
constexpr double kSmallestOversubscription = -0.5;
constexpr size_t kFewestWorldSizes = 3;
constexpr size_t kFewestPredicted = 2;  // of them, by fits without them

double Neighbours(const Topology& topology, double cores) {
  if (cores <= 1) return 0;
  const double at_once = std::min(static_cast<double>(topology.ranks_on_node()), cores);
  return (at_once - 1) / (cores - 1);
}

// The place of the smallest value of a function with one valley.
double Valley(double low, double high, const std::function<double(double)>& f) {
  const double golden = (std::sqrt(5.0) - 1) / 2;
  double a = high - golden * (high - low), b = low + golden * (high - low);
  double fa = f(a), fb = f(b);
  for (int i = 0; i < 48; ++i) {
    if (fa <= fb) {
      high = b;
      b = a;
      fb = fa;
      a = high - golden * (high - low);
      fa = f(a);
    } else {
      low = a;
      a = b;
      fa = fb;
      b = low + golden * (high - low);
      fb = f(b);
    }
  }
  return (low + high) / 2;
}

// a and c of every model for the fit's κ and ω; returns Σ of squared relative errors.
double FitCompute(std::span<const FitCell> cells, ScalingFit& fit) {
  double squares = 0;
  for (auto& [name, law] : fit.compute) {
    std::vector<std::vector<double>> rows;
    std::set<double> sizes;
    for (const FitCell& cell : cells) {
      if (cell.compute != name) continue;
      const double crowd = fit.Crowd(cell.topology, cell.cores) / cell.busy_seconds;
      rows.push_back({crowd * cell.flops, crowd});
      sizes.insert(cell.flops);
    }
    // A constant cannot be told from a rate by one size.
    if (sizes.size() < 2) {
      for (std::vector<double>& row : rows) row[1] = 0;
    }
    const std::vector<double> x =
        NonNegativeLeastSquares(rows, std::vector<double>(rows.size(), 1.0));
    law = {x[0], x[1]};
    for (const std::vector<double>& row : rows) {
      const double error = row[0] * x[0] + row[1] * x[1] - 1;
      squares += error * error;
    }
  }
  return squares;
}

void FitCrowd(std::span<const FitCell> cells, ScalingFit& fit) {
  bool alone = false, neighbours = false, too_many = false, too_many_neighbours = false;
  for (const FitCell& cell : cells) {
    const bool has_neighbours = Neighbours(cell.topology, cell.cores) > 0;
    if (cell.oversubscribed()) {
      too_many = true;
      too_many_neighbours |= has_neighbours;
    } else {
      (has_neighbours ? neighbours : alone) = true;
    }
  }
  const bool free = too_many && (neighbours || (alone && !too_many_neighbours));
  const auto with = [&](double contention, double oversubscription) {
    fit.contention = contention;
    fit.oversubscription = oversubscription;
    return FitCompute(cells, fit);
  };
  // Which ω is best for a κ, and how good that is.
  const auto best_oversubscription = [&](double contention) {
    if (!free) return 0.0;
    return Valley(kSmallestOversubscription, kLargestOversubscription,
                  [&](double w) { return with(contention, w); });
  };
  double contention = 0;
  if (alone && (neighbours || too_many_neighbours)) {
    contention =
        Valley(0, kLargestContention, [&](double k) { return with(k, best_oversubscription(k)); });
  }
  with(contention, best_oversubscription(contention));
}

double SumOfBuckets(const FitCell& cell, Fabric fabric) {
  const double turns = Turns(cell.topology, cell.cores);
  fabric.in_node.latency_seconds *= turns;
  fabric.in_node.seconds_per_byte *= turns;
  double seconds = 0;
  for (const double bytes : cell.buckets) seconds += AllReduceSeconds(fabric, cell.topology, bytes);
  return seconds;
}

// g, or where no collective was measured by itself, α and β from the steps.
void FitExchange(std::span<const FitCell> cells, const std::string& name, ExchangeLaw& law) {
  if (law.num_points == 0) {
    std::vector<FitCollective> points;
    for (const FitCell& cell : cells) {
      if (cell.exchange != name || cell.buckets.empty() || cell.exposed_communication_seconds <= 0)
        continue;
      // As many equal messages as there are buckets.
      const auto count = static_cast<double>(cell.buckets.size());
      double bytes = 0;
      for (const double bucket : cell.buckets) bytes += bucket;
      points.push_back({name, cell.shared_memory, cell.topology, cell.cores, bytes / count,
                        cell.exposed_communication_seconds / count});
    }
    FitFabric(points, name, law);
    law.num_points = 0;
    return;
  }
  std::vector<std::vector<double>> rows;
  for (const FitCell& cell : cells) {
    if (cell.exchange != name || cell.buckets.empty() || cell.exposed_communication_seconds <= 0)
      continue;
    rows.push_back({SumOfBuckets(cell, law.fabric) / cell.exposed_communication_seconds});
  }
  if (!rows.empty())
    law.stretch = NonNegativeLeastSquares(rows, std::vector<double>(rows.size(), 1.0))[0];
}

// σ and τ. Errors count against the step: a skew of nothing is well predicted by little.
void FitSkew(std::span<const FitCell> cells, const std::string& name, ExchangeLaw& law) {
  std::vector<std::vector<double>> rows;
  std::vector<double> skews;
  for (const FitCell& cell : cells) {
    if (cell.exchange != name || cell.buckets.empty()) continue;
    const double turns = Turns(cell.topology, cell.cores) / cell.step_seconds();
    rows.push_back({turns * cell.busy_seconds, turns * cell.exposed_communication_seconds});
    skews.push_back(cell.skew_seconds / cell.step_seconds());
  }
  if (rows.empty()) return;
  const std::vector<double> x = NonNegativeLeastSquares(rows, skews);
  law.skew_of_busy = x[0];
  law.skew_of_exposed = x[1];
}

double Quantile(std::vector<double> values, double p) {
  std::sort(values.begin(), values.end());
  return values.empty() ? NAN : SortedQuantile(values, p);
}

LeftOut Summarise(std::span<const FitCell> cells, std::vector<double> errors,
                  std::vector<double> exchange_errors) {
  std::vector<double> sizes, crowded;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (std::isnan(errors[i])) continue;
    (cells[i].oversubscribed() ? crowded : sizes).push_back(std::abs(errors[i]));
  }
  return {std::move(errors),      Quantile(sizes, 0.5), Quantile(sizes, 1),
          Quantile(crowded, 0.5), Quantile(crowded, 1), std::move(exchange_errors)};
}

double ErrorOf(const FitCell& cell, const ScalingFit& fit) {
  return fit.Knows(cell) ? fit.Step(cell) / cell.step_seconds() - 1 : NAN;
}

// `whole`: the fit of all cells and collectives; null: `fit` has seen the same collectives.
double ExchangeErrorOf(const FitCell& cell, const ScalingFit& fit, const ScalingFit* whole) {
  if (cell.buckets.empty() || !fit.Knows(cell)) return NAN;
  double found = fit.Exposed(cell), truth = cell.exposed_communication_seconds;
  if (cell.overlapped) {
    if (whole == nullptr) return NAN;
    found = SumOfBuckets(cell, fit.exchange.at(cell.exchange).fabric);
    truth = SumOfBuckets(cell, whole->exchange.at(cell.exchange).fabric);
  }
  return truth > 0 ? found / truth - 1 : NAN;
}

}  // namespace

double ScalingFit::Crowd(const Topology& topology, double cores) const {
  const double turns = Turns(topology, cores);
  return (1 + contention * Neighbours(topology, cores)) * turns *
         (turns > 1 ? 1 + oversubscription : 1);
}

double ScalingFit::Busy(const FitCell& cell) const {
  const ComputeLaw& law = compute.at(cell.compute);
  return Crowd(cell.topology, cell.cores) *
         (law.seconds_per_flop * cell.flops + law.seconds_per_step);
}

double ScalingFit::Exposed(const FitCell& cell) const {
  if (cell.buckets.empty()) return 0;
  const ExchangeLaw& law = exchange.at(cell.exchange);
  return law.stretch * SumOfBuckets(cell, law.fabric);
}

double ScalingFit::Skew(const FitCell& cell) const {
  if (cell.buckets.empty()) return 0;
  const ExchangeLaw& law = exchange.at(cell.exchange);
  return Turns(cell.topology, cell.cores) *
         (law.skew_of_busy * Busy(cell) + law.skew_of_exposed * Exposed(cell));
}

bool ScalingFit::Knows(const FitCell& cell) const {
  if (compute.count(cell.compute) == 0) return false;
  if (cell.buckets.empty()) return true;
  const auto law = exchange.find(cell.exchange);
  if (law == exchange.end()) return false;
  return law->second.Knows(cell.topology);
}

ScalingFit FitScaling(std::span<const FitCell> cells, std::span<const FitCollective> collectives) {
  ScalingFit fit;
  for (const FitCell& cell : cells) {
    fit.compute[cell.compute];
    if (!cell.buckets.empty()) fit.exchange[cell.exchange].overlapped = cell.overlapped;
  }
  FitCrowd(cells, fit);
  for (auto& [name, law] : fit.exchange) {
    FitFabric(collectives, name, law);
    FitExchange(cells, name, law);
    FitSkew(cells, name, law);
  }
  return fit;
}

LeftOut LeaveOneCellOut(std::span<const FitCell> cells,
                        std::span<const FitCollective> collectives) {
  std::vector<double> errors, exchange_errors;
  for (size_t left_out = 0; left_out < cells.size(); ++left_out) {
    std::vector<FitCell> others(cells.begin(), cells.end());
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(left_out));
    const ScalingFit fit = FitScaling(others, collectives);
    errors.push_back(ErrorOf(cells[left_out], fit));
    exchange_errors.push_back(ExchangeErrorOf(cells[left_out], fit, nullptr));
  }
  return Summarise(cells, std::move(errors), std::move(exchange_errors));
}

LeftOut LeaveOneWorldSizeOut(std::span<const FitCell> cells,
                             std::span<const FitCollective> collectives) {
  std::map<int64_t, ScalingFit> fits;  // by the world size that they have not seen
  for (const FitCell& cell : cells) {
    const int64_t n = cell.topology.world_size;
    if (fits.count(n) > 0) continue;
    std::vector<FitCell> others;
    std::vector<FitCollective> points;
    for (const FitCell& other : cells)
      if (other.topology.world_size != n) others.push_back(other);
    for (const FitCollective& point : collectives)
      if (point.topology.world_size != n) points.push_back(point);
    fits[n] = FitScaling(others, points);
  }
  const ScalingFit whole = FitScaling(cells, collectives);
  std::vector<double> errors, exchange_errors;
  for (const FitCell& cell : cells) {
    const ScalingFit& fit = fits.at(cell.topology.world_size);
    errors.push_back(ErrorOf(cell, fit));
    exchange_errors.push_back(ExchangeErrorOf(cell, fit, &whole));
  }
  return Summarise(cells, std::move(errors), std::move(exchange_errors));
}

ForecastError ErrorOfForecasts(std::span<const FitCell> cells, const LeftOut& without_cell,
                               const LeftOut& without_world_size) {
  std::set<int64_t> sizes, predicted;
  for (size_t i = 0; i < cells.size(); ++i) {
    sizes.insert(cells[i].topology.world_size);
    if (std::isfinite(without_world_size.errors.at(i)))
      predicted.insert(cells[i].topology.world_size);
  }
  if (sizes.size() >= kFewestWorldSizes && predicted.size() >= kFewestPredicted &&
      std::isfinite(without_world_size.median_size))
    return {ForecastError::Source::kWorldSize, without_world_size.median_size};
  if (!cells.empty() && std::isfinite(without_cell.median_size))
    return {ForecastError::Source::kCell, without_cell.median_size};
  return {};
}

std::map<std::string, ForecastError> ErrorsOfExchange(std::span<const FitCell> cells,
                                                      const LeftOut& without_cell,
                                                      const LeftOut& without_world_size) {
  std::map<std::string, ForecastError> all;
  for (const FitCell& cell : cells)
    if (!cell.buckets.empty()) all[cell.exchange];
  for (auto& [name, error] : all) {
    std::set<int64_t> predicted;
    // Cells with more ranks than CPUs count where there are no others.
    const auto median = [&](const LeftOut& left_out) {
      std::vector<double> sizes, crowded;
      predicted.clear();
      for (size_t i = 0; i < cells.size(); ++i) {
        const double found = left_out.exchange_errors.at(i);
        if (cells[i].exchange != name || !std::isfinite(found)) continue;
        (cells[i].oversubscribed() ? crowded : sizes).push_back(std::abs(found));
        predicted.insert(cells[i].topology.world_size);
      }
      return Quantile(sizes.empty() ? crowded : sizes, 0.5);
    };
    const double of_world_size = median(without_world_size);
    if (predicted.size() >= kFewestPredicted) {
      error = {ForecastError::Source::kWorldSize, of_world_size};
      continue;
    }
    const double of_cell = median(without_cell);
    if (std::isfinite(of_cell)) error = {ForecastError::Source::kCell, of_cell};
  }
  return all;
}

}  // namespace breakeven
