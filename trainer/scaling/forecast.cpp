// Pure.
#include "trainer/scaling/forecast.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "trainer/scaling/cluster_step.h"
#include "trainer/statistics/bootstrap.h"

namespace breakeven {
namespace {

// Efficiency is against `base` ranks.
ForecastPoint PointOf(const ForecastConfig& config, const ClusterStep& cluster, int64_t world_size,
                      double confidence, int64_t base = 1) {
  const Constants middle = cluster.Middle();
  const StepSettings settings;
  ForecastPoint point;
  point.world_size = world_size;
  const StepTime time = cluster.Step(settings, middle, world_size);
  const double tokens = cluster.Tokens(settings);
  point.step_seconds = time.step_seconds;
  point.exposed_communication_seconds = time.exposed_communication_seconds;
  point.tokens_per_second_per_rank = tokens / time.step_seconds;
  point.efficiency = cluster.Step(settings, middle, base).step_seconds / time.step_seconds;
  std::vector<double> rates, efficiencies;
  for (int64_t draw = 0; draw < config.draws; ++draw) {
    const Constants drawn = cluster.Draw(static_cast<uint64_t>(draw));
    const double step = cluster.Step(settings, drawn, world_size).step_seconds;
    rates.push_back(tokens / step);
    efficiencies.push_back(cluster.Step(settings, drawn, base).step_seconds / step);
  }
  point.tokens_interval = PercentileInterval(rates, confidence);
  point.efficiency_interval = PercentileInterval(efficiencies, confidence);
  point.strong_speed_up = cluster.StrongSpeedUp(middle, world_size);
  const double price = cluster.cluster().price_per_device_hour;
  point.price_per_million = price > 0 ? price / 3600 * 1e6 / point.tokens_per_second_per_rank : NAN;
  return point;
}

BestSettings BestOf(const ForecastConfig& config, const ClusterStep& cluster, int64_t world_size) {
  BestSettings best;
  best.world_size = world_size;
  best.fits = false;
  const double one = cluster.Tokens({}) / cluster.Step({}, cluster.Middle(), 1).step_seconds;
  const auto consider = [&](const StepSettings& settings) {
    if (!cluster.MayAccumulate(settings, world_size)) return;
    const double memory = cluster.MemoryBytes(settings, world_size);
    const double limit = cluster.cluster().memory_bytes;
    const bool fits = limit == 0 || memory <= limit;
    const double rate = cluster.Tokens(settings) /
                        cluster.Step(settings, cluster.Middle(), world_size).step_seconds / one;
    // What differs by less than a thousandth is not worth a larger batch or another setting.
    const bool better = fits == best.fits
                            ? (fits ? rate > best.efficiency * 1.001 : memory < best.memory_bytes)
                            : fits;
    if (best.bucket_bytes != 0 && !better) return;
    best = {world_size,
            settings.shard,
            settings.bucket_bytes,
            settings.last_bucket_bytes,
            settings.accumulation,
            rate,
            memory,
            fits};
  };
  for (const int64_t accumulation : config.accumulation) {
    for (const bool shard : {false, true}) {
      for (const int64_t bytes : config.bucket_bytes) {
        consider({shard, bytes, std::min(bytes, kDefaultLastBucketBytes), accumulation});
        consider({shard, bytes, bytes, accumulation});
      }
    }
  }
  return best;
}

// The largest of ascending world sizes up to which each one pays.
int64_t Limit(const std::vector<ForecastPoint>& points, const std::function<bool(size_t)>& pays) {
  int64_t limit = 0;
  for (size_t i = 0; i < points.size() && pays(i); ++i) limit = points[i].world_size;
  return limit;
}

}  // namespace

Forecast MakeForecast(const ForecastConfig& config, const std::string& cluster_name,
                      const std::string& workload, const ForecastBasis& basis) {
  const ClusterStep cluster(config, cluster_name, workload, basis);
  Forecast forecast;
  forecast.cluster = cluster_name;
  forecast.workload = workload;
  forecast.measured_exchange = cluster.cluster().measured_exchange;
  forecast.exchange = cluster.ExchangeOrigin();
  forecast.measured_compute = !config.workloads.at(workload).measured_model.empty();
  std::vector<int64_t> sizes = config.world_sizes;
  std::sort(sizes.begin(), sizes.end());
  for (const int64_t n : sizes) {
    if (!cluster.Knows(n)) {
      forecast.not_known.push_back(n);
      continue;
    }
    forecast.points.push_back(PointOf(config, cluster, n, basis.confidence));
    if (n > 1) forecast.best.push_back(BestOf(config, cluster, n));
  }
  const std::vector<ForecastPoint>& points = forecast.points;
  forecast.weak_limit =
      Limit(points, [&](size_t i) { return points[i].efficiency >= config.paying_efficiency; });
  forecast.strong_limit = Limit(points, [&](size_t i) {
    if (i == 0) return true;
    const double doublings = std::log2(static_cast<double>(points[i].world_size) /
                                       static_cast<double>(points[i - 1].world_size));
    const double gain = points[i].strong_speed_up / points[i - 1].strong_speed_up;
    return gain >= std::pow(config.paying_speed_up, doublings);
  });
  return forecast;
}

std::vector<PublishedComparison> ComparePublished(const ForecastConfig& config,
                                                  const ForecastBasis& basis) {
  std::vector<PublishedComparison> all;
  for (const PublishedConfig& published : config.published) {
    const ClusterStep cluster(config, published.cluster, published.workload, basis);
    PublishedComparison comparison;
    comparison.published = published;
    const int64_t base = std::max<int64_t>(1, published.relative_to);
    if (!cluster.Knows(published.world_size) || !cluster.Knows(base)) continue;
    const ForecastPoint point =
        PointOf(config, cluster, published.world_size, basis.confidence, base);
    comparison.tokens_per_second_per_rank = point.tokens_per_second_per_rank;
    comparison.tokens_interval = point.tokens_interval;
    const bool relative = published.relative_to > 0;
    comparison.efficiency = relative ? point.efficiency : NAN;
    comparison.efficiency_interval = relative ? point.efficiency_interval : Interval{NAN, NAN};
    all.push_back(comparison);
  }
  return all;
}

std::vector<SimulatedPoint> SimulateForecasts(const ForecastConfig& config,
                                              const ForecastBasis& basis) {
  std::vector<SimulatedPoint> all;
  for (const auto& [cluster_name, unused_cluster] : config.clusters) {
    for (const auto& [workload, unused_workload] : config.workloads) {
      const ClusterStep cluster(config, cluster_name, workload, basis);
      Constants even = cluster.Middle();
      const double spread = even.pace_spread;
      even.pace_spread = 0;
      for (const int64_t n : config.world_sizes) {
        if (!cluster.Knows(n)) continue;
        SimulatedPoint point;
        point.cluster = cluster_name;
        point.workload = workload;
        point.world_size = n;
        const StepSchedule schedule = cluster.Schedule({}, even, n);
        const Fabric fabric = cluster.FabricOf(even);
        const Topology topology = cluster.TopologyOf(n);
        const SimulatedStep same = SimulateStep(schedule, fabric, topology, {});
        point.closed_form_seconds = PredictStep(schedule, fabric, topology).step_seconds;
        point.simulated_seconds = same.step_seconds;
        point.num_messages = same.num_messages;
        Constants uneven = even;
        uneven.pace_spread = spread;
        point.closed_form_spread_seconds =
            PredictStep(cluster.Schedule({}, uneven, n), fabric, topology).step_seconds;
        point.simulated_spread_seconds =
            SimulateStep(schedule, fabric, topology, {spread, 1}).step_seconds;
        all.push_back(point);
      }
    }
  }
  return all;
}

}  // namespace breakeven
