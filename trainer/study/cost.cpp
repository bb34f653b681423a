// Pure.
#include "trainer/study/cost.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "comm/base/error.h"
#include "comm/base/random.h"
#include "trainer/statistics/bootstrap.h"
#include "trainer/statistics/distributions.h"
#include "trainer/statistics/ratio.h"

namespace breakeven {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kSecondsPerHour = 3600;
constexpr int kCurvePoints = 41;

Units UnitsOf(std::span<const TimedBatch> batches) {
  if (batches.empty()) {
    throw Error(ErrorKind::kBadData,
                "no batch of queries was timed for an arm: without timings there is no cost per "
                "query; score the arm again with timings kept");
  }
  Units units{1, {}, {}};
  for (const TimedBatch& batch : batches) {
    if (!(batch.num_queries > 0) || !(batch.device_seconds > 0)) {
      throw Error(ErrorKind::kBadData, "a timed batch has " + std::to_string(batch.num_queries) +
                                           " queries in " + std::to_string(batch.device_seconds) +
                                           " device-seconds; both must be above 0");
    }
    units.sums.push_back(batch.device_seconds);
    units.sizes.push_back(batch.num_queries);
  }
  return units;
}

// One batch alone has no spread to measure.
MeanEstimate PerQuery(const Units& units) {
  if (units.num_units() > 1) return EstimateMean(units, SmallSample::kLeverage);
  return {Means(units).front(), kInfinity, 1};
}

Interval PayBackInterval(const MeanEstimate& extra, const Units& prompt, const Units& tuned,
                         double confidence) {
  const MeanEstimate saving = IndependentDifference(PerQuery(prompt), PerQuery(tuned));
  return FiellerInterval(extra, saving, confidence);
}

// Batches drawn anew on both sides, and the one-time cost within its error.
double MeasureCoverage(const MeanEstimate& extra, const Units& prompt, const Units& tuned,
                       double queries, const VerdictConfig& config) {
  const uint64_t seed = static_cast<uint64_t>(config.seed);
  const BootstrapOptions first{config.coverage_studies, seed};
  const BootstrapOptions second{config.coverage_studies, seed + 1};
  int64_t covered = 0;
  for (int64_t study = 0; study < config.coverage_studies; ++study) {
    MeanEstimate drawn = extra;
    if (extra.standard_error > 0) {
      const double uniform = RandomUniform(
          seed, static_cast<uint64_t>(RandomStream::kBootstrapSeeds), static_cast<uint64_t>(study));
      drawn.value += extra.standard_error * StudentQuantile(uniform + 0x1p-54, extra.degrees);
    }
    covered += PayBackInterval(drawn, ResampleUnits(prompt, first, study),
                               ResampleUnits(tuned, second, study), config.confidence)
                       .Contains(queries)
                   ? 1
                   : 0;
  }
  return static_cast<double>(covered) / static_cast<double>(config.coverage_studies);
}

PayBack::Kind KindOf(const PayBack& result) {
  if (result.extra_one_time <= 0 && result.saving_per_query >= 0) return PayBack::Kind::kAtOnce;
  if (std::isinf(result.queries)) return PayBack::Kind::kNever;
  return std::isinf(result.interval.high) ? PayBack::Kind::kMaybe : PayBack::Kind::kAfter;
}

CostSide Side(const ServingMeasurement& serving, std::span<const OneTimeWork> work,
              double confidence, const CostConfig& prices) {
  CostSide side;
  side.one_time = SumWork(work, prices);
  side.query = CostPerQuery(serving.batches, confidence, prices);
  if (!serving.cached_batches.empty()) {
    side.cached_query = CostPerQuery(serving.cached_batches, confidence, prices);
  }
  side.prompt_tokens = serving.prompt_tokens;
  side.shared_prefix_tokens = serving.shared_prefix_tokens;
  side.generated_tokens = serving.generated_tokens;
  return side;
}

std::vector<CostCurvePoint> CostCurve(const CostComparison& costs) {
  const double last =
      std::isfinite(costs.pay_back.queries) ? std::max(1e4, 10 * costs.pay_back.queries) : 1e8;
  std::vector<CostCurvePoint> curve;
  for (int i = 0; i < kCurvePoints; ++i) {
    const double queries = 100 * std::pow(last / 100, static_cast<double>(i) / (kCurvePoints - 1));
    const auto total = [&](const CostSide& side) {
      return side.one_time.device_seconds + queries * side.query.device_seconds.value;
    };
    curve.push_back({queries, total(costs.prompt), total(costs.tuned)});
  }
  return curve;
}

}  // namespace

QueryCost CostPerQuery(std::span<const TimedBatch> batches, double confidence,
                       const CostConfig& prices) {
  QueryCost cost;
  cost.device_seconds = PerQuery(UnitsOf(batches));
  cost.device_seconds_interval = StudentInterval(cost.device_seconds, confidence);
  cost.device_seconds_interval.low = std::max(0.0, cost.device_seconds_interval.low);
  const double price = 1000 * prices.PricePerDeviceSecond();
  if (price > 0) {
    cost.price_per_1000 = price * cost.device_seconds.value;
    cost.price_per_1000_interval = Interval{price * cost.device_seconds_interval.low,
                                            price * cost.device_seconds_interval.high};
  }
  if (prices.device_watts > 0) {
    cost.watt_hours_per_1000 =
        1000 * cost.device_seconds.value * prices.device_watts / kSecondsPerHour;
  }
  return cost;
}

WorkCost SumWork(std::span<const OneTimeWork> work, const CostConfig& prices) {
  WorkCost sum;
  for (const OneTimeWork& item : work) {
    sum.device_seconds += item.device_seconds;
    sum.wall_seconds += item.wall_seconds;
    sum.num_runs += item.num_runs;
  }
  sum.device_hours = sum.device_seconds / kSecondsPerHour;
  const double price = prices.PricePerDeviceSecond();
  if (price > 0) sum.price = price * sum.device_seconds;
  if (prices.device_watts > 0) sum.watt_hours = sum.device_hours * prices.device_watts;
  return sum;
}

PayBack PayBackQueries(const MeanEstimate& extra, std::span<const TimedBatch> prompt,
                       std::span<const TimedBatch> tuned, const VerdictConfig& config,
                       const CostConfig& prices) {
  const Units prompt_units = UnitsOf(prompt);
  const Units tuned_units = UnitsOf(tuned);
  PayBack result;
  result.extra_one_time = extra.value;
  result.saving_per_query = PerQuery(prompt_units).value - PerQuery(tuned_units).value;
  result.queries = extra.value <= 0               ? (result.saving_per_query >= 0 ? 0 : kInfinity)
                   : result.saving_per_query <= 0 ? kInfinity
                                                  : extra.value / result.saving_per_query;
  result.interval = PayBackInterval(extra, prompt_units, tuned_units, config.confidence);
  result.kind = KindOf(result);
  if (prices.queries_per_month > 0) result.months = result.queries / prices.queries_per_month;
  if (config.coverage_studies > 0 && prompt.size() > 1 && tuned.size() > 1) {
    result.measured_coverage =
        MeasureCoverage(extra, prompt_units, tuned_units, result.queries, config);
  }
  return result;
}

CostComparison CompareCosts(const CostInput& input, const VerdictConfig& config,
                            const CostConfig& prices) {
  CostComparison costs;
  costs.prompt = Side(input.prompt, input.prompt_work, config.confidence, prices);
  costs.tuned = Side(input.tuned, input.tuned_work, config.confidence, prices);
  const MeanEstimate extra{
      costs.tuned.one_time.device_seconds - costs.prompt.one_time.device_seconds, 0, kInfinity};
  costs.pay_back = PayBackQueries(extra, input.prompt.batches, input.tuned.batches, config, prices);
  if (costs.prompt.cached_query.has_value() && costs.tuned.cached_query.has_value()) {
    costs.cached_pay_back = PayBackQueries(extra, input.prompt.cached_batches,
                                           input.tuned.cached_batches, config, prices);
  }
  costs.curve = CostCurve(costs);
  return costs;
}

}  // namespace breakeven
