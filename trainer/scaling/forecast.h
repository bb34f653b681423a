// Pure. What a workload would do on a cluster that is not here: closed form (step_schedule.h), with intervals from the ranges
// that the cluster's constants are known in, and from how well the model predicted cells that it had not seen.
#ifndef BREAKEVEN_TRAINER_SCALING_FORECAST_H_
#define BREAKEVEN_TRAINER_SCALING_FORECAST_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "trainer/model/model_config.h"
#include "trainer/scaling/cluster_config.h"
#include "trainer/scaling/scaling_fit.h"
#include "trainer/scaling/step_simulation.h"
#include "trainer/statistics/interval.h"

namespace breakeven {

// What forecasts need beside their config.
struct ForecastBasis {
  std::map<std::string, ModelConfig> models;          // of each workload, by its name
  std::map<std::string, ComputeLaw> measured;         // of workloads with measured_model
  std::map<std::string, ExchangeLaw> exchange;        // by what measured_exchange of clusters says
  double contention = 0;                              // of the fit, for those
  double cores = 1;                                   // of a node, for each thread of a rank
  double model_error = 0;                             // ErrorOfForecasts; 0 = unknown
  std::map<std::string, double> exchange_error = {};  // ErrorsOfExchange; else model_error
  double confidence = 0.95;
};

struct ForecastPoint {
  int64_t world_size = 1;
  double step_seconds = 0;  // each rank one micro-batch
  double exposed_communication_seconds = 0;
  double tokens_per_second_per_rank = 0;
  Interval tokens_interval;
  double efficiency = 0;  // against one rank
  Interval efficiency_interval;
  double strong_speed_up =
      0;  // steps a second at `strong_tokens` against one rank; NaN = fewer tokens than ranks
  double price_per_million = 0;  // NaN = no price
};

struct BestSettings {
  int64_t world_size = 1;
  bool shard = false;
  int64_t bucket_bytes = 0;
  int64_t last_bucket_bytes = 0;
  int64_t accumulation = 1;
  double efficiency = 0;
  double memory_bytes = 0;  // of a rank, estimated
  bool fits = true;         // false: not even the smallest; these need least
};

struct Forecast {
  std::string cluster;
  std::string workload;
  bool measured_compute = false;
  std::string measured_exchange;  // of the cluster
  std::string exchange;           // "stated", or which of its constants were measured, and on what
  std::vector<ForecastPoint> points;
  std::vector<BestSettings> best;
  std::vector<int64_t> not_known;  // world sizes that need a link neither measured nor stated
  // Most ranks that still pay, of those forecast: where that is the last of them, more may pay too.
  int64_t weak_limit = 0;
  int64_t strong_limit = 0;  // likewise, with the global batch fixed
};
Forecast MakeForecast(const ForecastConfig& config, const std::string& cluster,
                      const std::string& workload, const ForecastBasis& basis);

struct PublishedComparison {
  PublishedConfig published;
  double tokens_per_second_per_rank = 0;  // forecast
  Interval tokens_interval;
  double efficiency = 0;  // forecast, against `relative_to` ranks; NaN = not asked
  Interval efficiency_interval;
};
// Likewise.
std::vector<PublishedComparison> ComparePublished(const ForecastConfig& config,
                                                  const ForecastBasis& basis);

// A step by the event simulation beside the closed form, with the middle of the cluster's ranges. Likewise.
struct SimulatedPoint {
  std::string cluster;
  std::string workload;
  int64_t world_size = 1;
  double closed_form_seconds = 0;         // every rank at one pace
  double simulated_seconds = 0;           // likewise
  double closed_form_spread_seconds = 0;  // ranks of different pace: √(2 ln n) standard deviations
  double simulated_spread_seconds = 0;
  int64_t num_messages = 0;
};
std::vector<SimulatedPoint> SimulateForecasts(const ForecastConfig& config,
                                              const ForecastBasis& basis);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_SCALING_FORECAST_H_
