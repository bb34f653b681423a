// Pure.
#include "trainer/study/cost.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "comm/base/error.h"

namespace breakeven {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Batches of 10 queries at these device-seconds per query.
std::vector<TimedBatch> Batches(std::vector<double> seconds) {
  std::vector<TimedBatch> batches;
  for (double s : seconds) batches.push_back({10, 10 * s});
  return batches;
}

CostInput Input() {
  CostInput input;
  input.prompt_work = {{"prompt search", 12, 600, 300}};
  input.tuned_work = {{"training", 9, 3600, 1800}, {"choice on dev", 9, 600, 300}};
  input.prompt.batches = Batches({0.10, 0.11, 0.09, 0.10, 0.10, 0.10});
  input.tuned.batches = Batches({0.04, 0.04, 0.05, 0.03, 0.04, 0.04});
  input.prompt.prompt_tokens = 400;
  input.prompt.shared_prefix_tokens = 350;
  return input;
}

TEST(CostTest, PricesFollowFromSeconds) {
  CostConfig prices;
  prices.price_per_device_hour = 3.6;  // 0.001 a second
  prices.device_watts = 360;
  const QueryCost cost = CostPerQuery(Batches({0.1, 0.1, 0.1}), 0.95, prices);
  EXPECT_NEAR(cost.device_seconds.value, 0.1, 1e-15);
  EXPECT_NEAR(*cost.price_per_1000, 0.1, 1e-12);
  EXPECT_NEAR(*cost.watt_hours_per_1000, 10, 1e-12);
  prices.price_per_kilowatt_hour = 10;  // 0.36 kW: as much again
  EXPECT_NEAR(*CostPerQuery(Batches({0.1, 0.1}), 0.95, prices).price_per_1000, 0.2, 1e-12);
  EXPECT_FALSE(CostPerQuery(Batches({0.1}), 0.95, {}).price_per_1000.has_value());
}

TEST(CostTest, LargeBatchesWeighMore) {
  const std::vector<TimedBatch> batches = {{90, 9}, {10, 2}};
  EXPECT_DOUBLE_EQ(CostPerQuery(batches, 0.95, {}).device_seconds.value, 0.11);
}

TEST(CostTest, TrainingPaysBackAfterWhatItCostOverWhatAQuerySaves) {
  const CostComparison costs = CompareCosts(Input(), VerdictConfig(), {});
  EXPECT_NEAR(costs.tuned.one_time.device_hours, 4200 / 3600.0, 1e-12);
  EXPECT_EQ(costs.tuned.one_time.num_runs, 18);
  EXPECT_NEAR(costs.pay_back.extra_one_time, 3600, 1e-9);
  EXPECT_NEAR(costs.pay_back.queries, 3600 / 0.06, 1e-6);
  EXPECT_EQ(costs.pay_back.kind, PayBack::Kind::kAfter);
  EXPECT_TRUE(costs.pay_back.interval.Contains(60000));
  EXPECT_GT(costs.pay_back.interval.low, 40000);
  EXPECT_LT(costs.pay_back.interval.high, 90000);
  ASSERT_TRUE(costs.pay_back.measured_coverage.has_value());
  EXPECT_GT(*costs.pay_back.measured_coverage, 0.8);
  EXPECT_FALSE(costs.pay_back.months.has_value());
  EXPECT_FALSE(costs.cached_pay_back.has_value());
  // The lines cross where it has paid back.
  const auto sign = [&](size_t i) { return costs.curve[i].tuned < costs.curve[i].prompt; };
  for (size_t i = 0; i < costs.curve.size(); ++i) {
    EXPECT_EQ(sign(i), costs.curve[i].queries > 60000) << costs.curve[i].queries;
  }
}

TEST(CostTest, APrefixCacheMovesThePoint) {
  CostInput input = Input();
  input.prompt.cached_batches = Batches({0.06, 0.06, 0.06, 0.061});
  input.tuned.cached_batches = Batches({0.04, 0.04, 0.04, 0.041});
  CostConfig prices;
  prices.queries_per_month = 90000;
  const CostComparison costs = CompareCosts(input, VerdictConfig(), prices);
  ASSERT_TRUE(costs.cached_pay_back.has_value());
  EXPECT_NEAR(costs.cached_pay_back->queries, 3600 / 0.02, 1);
  EXPECT_NEAR(*costs.cached_pay_back->months, 2, 1e-4);
}

TEST(CostTest, KindsOfPayBack) {
  const MeanEstimate cost{3600, 0, kInfinity};
  const auto kind = [&](const MeanEstimate& extra, std::vector<double> prompt,
                        std::vector<double> tuned) {
    return PayBackQueries(extra, Batches(prompt), Batches(tuned), VerdictConfig(), {}).kind;
  };
  EXPECT_EQ(kind(cost, {0.1, 0.11, 0.1}, {0.2, 0.21, 0.2}), PayBack::Kind::kNever);
  EXPECT_EQ(kind(cost, {0.1, 0.3, 0.1}, {0.1, 0.1, 0.2}), PayBack::Kind::kMaybe);
  EXPECT_EQ(kind({-5, 0, kInfinity}, {0.1, 0.11, 0.1}, {0.05, 0.05, 0.06}), PayBack::Kind::kAtOnce);
  EXPECT_EQ(kind({-5, 0, kInfinity}, {0.1, 0.11, 0.1}, {0.2, 0.21, 0.2}), PayBack::Kind::kNever)
      << "cheaper to make, dearer to ask";
  // One batch has no spread: an estimate, no promise.
  EXPECT_EQ(kind(cost, {0.1}, {0.05}), PayBack::Kind::kMaybe);
}

TEST(CostTest, TimingsThatAreNoneAreRefused) {
  const auto message = [](std::vector<TimedBatch> batches) {
    try {
      CostPerQuery(batches, 0.95, {});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(message({}), testing::HasSubstr("no batch of queries was timed"));
  EXPECT_THAT(message({{0, 1}}), testing::HasSubstr("must be above 0"));
  EXPECT_THAT(message({{5, 0}}), testing::HasSubstr("must be above 0"));
}

}  // namespace
}  // namespace breakeven
