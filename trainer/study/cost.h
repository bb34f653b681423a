// Pure. What training and asking cost by this run's measurements, and after how many queries training has paid back.
#ifndef BREAKEVEN_TRAINER_STUDY_COST_H_
#define BREAKEVEN_TRAINER_STUDY_COST_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "trainer/statistics/interval.h"
#include "trainer/statistics/units.h"
#include "trainer/study/verdict_config.h"

namespace breakeven {

// A device-second is one device (rank) busy for one second: seconds × ranks.
struct TimedBatch {
  double num_queries = 0;
  double device_seconds = 0;
};

// What answering queries took under one arm. `batches` run the whole prompt; `cached_batches` reuse the part that all
// prompts share, as a server with a prefix cache does (empty: not measured).
struct ServingMeasurement {
  double prompt_tokens = 0;         // mean per query, whole prompt
  double shared_prefix_tokens = 0;  // of these the same in all queries
  double generated_tokens = 0;      // mean per query
  std::vector<TimedBatch> batches;
  std::vector<TimedBatch> cached_batches;
};

// Work done once: prompt search on one side; trainings (all that were tried) on the other.
struct OneTimeWork {
  std::string what;
  int64_t num_runs = 0;
  double device_seconds = 0;
  double wall_seconds = 0;
};

// Money is absent where no price was given.
struct QueryCost {
  MeanEstimate device_seconds;  // per query
  Interval device_seconds_interval;
  std::optional<double> price_per_1000;
  std::optional<Interval> price_per_1000_interval;
  std::optional<double> watt_hours_per_1000;
};
// Batches are the sampling units of a ratio estimator. Error(kBadData) where no batch was timed, or one has no query or no
// time.
QueryCost CostPerQuery(std::span<const TimedBatch> batches, double confidence,
                       const CostConfig& prices);

struct WorkCost {
  double device_seconds = 0;
  double device_hours = 0;
  double wall_seconds = 0;
  int64_t num_runs = 0;
  std::optional<double> price;
  std::optional<double> watt_hours;
};
WorkCost SumWork(std::span<const OneTimeWork> work, const CostConfig& prices);

struct PayBack {
  enum class Kind {
    kAtOnce,  // the tuned model cost no more to make
    kAfter,   // after `queries`
    kMaybe,   // by the estimate after `queries`, but a query may as well save nothing
    kNever,   // a query to the tuned model costs no less
  };
  Kind kind = Kind::kNever;
  double queries = 0;                       // infinity: never
  Interval interval;                        // Fieller's; an infinite end: never
  std::optional<double> months;             // of queries, where queries per month are given
  std::optional<double> measured_coverage;  // of the interval, on timings simulated from these
  double saving_per_query = 0;              // device-seconds
  double extra_one_time = 0;                // device-seconds
};
// extra: one-time device-seconds of the tuned side beyond the prompt's (standard error 0: a sum that was spent, not an
// estimate).
PayBack PayBackQueries(const MeanEstimate& extra, std::span<const TimedBatch> prompt,
                       std::span<const TimedBatch> tuned, const VerdictConfig& config,
                       const CostConfig& prices);

// Total device-seconds of both sides at some numbers of queries, for the plot: from 10² queries to ten times the
// pay-back (10⁸ where there is none).
struct CostCurvePoint {
  double queries = 0;
  double prompt = 0;
  double tuned = 0;
};

struct CostSide {
  WorkCost one_time;
  QueryCost query;
  std::optional<QueryCost> cached_query;
  double prompt_tokens = 0;
  double shared_prefix_tokens = 0;
  double generated_tokens = 0;
};

struct CostComparison {
  CostSide prompt;
  CostSide tuned;
  PayBack pay_back;
  std::optional<PayBack> cached_pay_back;  // both sides served with a prefix cache
  std::vector<CostCurvePoint> curve;
};

struct CostInput {
  std::vector<OneTimeWork> prompt_work;  // search over prompts
  std::vector<OneTimeWork> tuned_work;   // all trainings and their selection
  ServingMeasurement prompt;
  ServingMeasurement tuned;
};
CostComparison CompareCosts(const CostInput& input, const VerdictConfig& config,
                            const CostConfig& prices);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_COST_H_
