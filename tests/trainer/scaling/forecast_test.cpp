// Pure. Forecasts of a cluster: what must hold whatever the constants.
#include "trainer/scaling/forecast.h"

#include <gtest/gtest.h>

#include "trainer/scaling/cluster_step.h"

namespace breakeven {
namespace {

constexpr char kModel[] = R"({"model_type": "gpt2", "activation_function": "gelu_new",
  "n_embd": 768, "n_head": 12, "n_inner": null, "n_layer": 12, "n_positions": 1024,
  "layer_norm_epsilon": 1e-5, "vocab_size": 50257})";

struct Case {
  ForecastConfig config;
  ForecastBasis basis;
};

Case MakeCase(double network_bytes_per_second) {
  Case made;
  ClusterConfig cluster;
  cluster.peak_flops_per_second = 989e12;
  cluster.memory_bytes = 80e9;
  cluster.memory_bytes_per_second = 3.35e12;
  cluster.launch_seconds = 14e-6;
  cluster.in_node = {3.4e-6, 450e9};
  cluster.between_nodes = {14e-6, network_bytes_per_second};
  made.config.clusters["c"] = cluster;
  made.config.workloads["w"].tokens_per_rank = 4096;
  made.config.workloads["w"].gradient_bytes = 2;
  made.config.draws = 50;
  made.basis.models["w"] = ParseModelConfig(kModel, "test");
  return made;
}

TEST(ForecastTest, MoreRanksAreNeverMoreEfficientAndIntervalsHoldTheMiddle) {
  const Case fast = MakeCase(45e9);
  const Forecast forecast = MakeForecast(fast.config, "c", "w", fast.basis);
  double last = 1;
  ASSERT_EQ(forecast.points.size(), 11u);
  for (const ForecastPoint& point : forecast.points) {
    EXPECT_LE(point.efficiency, last + 1e-12) << point.world_size;
    EXPECT_LE(point.efficiency_interval.low, point.efficiency + 1e-12) << point.world_size;
    EXPECT_GE(point.efficiency_interval.high, point.efficiency - 1e-12) << point.world_size;
    EXPECT_TRUE(point.tokens_interval.Contains(point.tokens_per_second_per_rank));
    last = point.efficiency;
  }
  EXPECT_EQ(forecast.points.front().efficiency, 1);
}

// reference/performance.md §4, before interference and stragglers: 8.8 ms of computing, buckets of 25 MB, none smaller.
TEST(ForecastTest, IsNearTheReferencesOwnFigures) {
  Case made = MakeCase(45e9);
  ClusterConfig& cluster = made.config.clusters["c"];
  cluster.mfu_low = cluster.mfu_high = 4096 * 0.803e9 / 8.8e-3 / 989e12;
  cluster.interference_low = cluster.interference_high = 0;
  cluster.pace_spread_low = cluster.pace_spread_high = 0;
  const StepSettings settings = {false, 25 << 20, 25 << 20, 1};
  struct Known {
    int64_t world_size;
    double table_last;
    double table_first;
  };
  for (const Known& known :
       {Known{8, 0.965, 0.994}, {64, 0.935, 0.971}, {256, 0.92, 0.961}, {1024, 0.909, 0.954}}) {
    for (const bool table_first : {false, true}) {
      made.config.workloads["w"].table_first = table_first;
      const ClusterStep step(made.config, "c", "w", made.basis);
      const double ours = step.Step(settings, step.Middle(), 1).step_seconds /
                          step.Step(settings, step.Middle(), known.world_size).step_seconds;
      // A table that is last goes in four messages here and in one there.
      EXPECT_NEAR(ours, table_first ? known.table_first : known.table_last,
                  table_first ? 0.05 : 0.08)
          << known.world_size << " ranks, table first " << table_first;
    }
  }
}

TEST(ForecastTest, ASlowNetworkEndsWhatPays) {
  Case fast = MakeCase(45e9), slow = MakeCase(1.4e9);
  slow.config.workloads["w"].max_step_tokens = int64_t{1} << 30;
  const Forecast good = MakeForecast(fast.config, "c", "w", fast.basis);
  const Forecast bad = MakeForecast(slow.config, "c", "w", slow.basis);
  EXPECT_EQ(bad.weak_limit, 8) << "one node still pays";
  EXPECT_GT(good.weak_limit, 8);
  EXPECT_LE(bad.strong_limit, good.strong_limit);
  // Where bytes are the limit, more micro-batches a step are the way out.
  EXPECT_GT(bad.best.back().accumulation, 1);
  EXPECT_GT(bad.best.back().efficiency, bad.points.back().efficiency);
}

TEST(ForecastTest, ShardsWhereMomentsDoNotFit) {
  Case small = MakeCase(45e9);
  small.config.clusters["c"].memory_bytes =
      3.4e9;  // 124 M × 18 bytes + 1.28 GB of activations do not fit
  const Forecast forecast = MakeForecast(small.config, "c", "w", small.basis);
  const BestSettings& best = forecast.best.back();
  EXPECT_TRUE(best.fits) << best.memory_bytes;
  EXPECT_TRUE(best.shard);
}

TEST(ForecastTest, MeasuredComputeIsUsedAndWidensByTheModelsError) {
  Case made = MakeCase(45e9);
  made.config.clusters["c"].overlapped = false;
  made.config.workloads["w"].measured_model = "m";
  made.basis.measured["w"] = {1e-11, 0.1};
  const double narrow =
      MakeForecast(made.config, "c", "w", made.basis).points[0].tokens_interval.high;
  made.basis.model_error = 0.1;
  const Forecast forecast = MakeForecast(made.config, "c", "w", made.basis);
  EXPECT_TRUE(forecast.measured_compute);
  EXPECT_GT(forecast.points[0].tokens_interval.high, 1.1 * narrow);
  EXPECT_GT(forecast.points[0].step_seconds, 1e-11 * 6 * 85e6 * 4096) << "seconds a FLOP of here";
}

TEST(ForecastTest, SimulationAgreesWithTheClosedForm) {
  const Case made = MakeCase(45e9);
  const auto points = SimulateForecasts(made.config, made.basis);
  ASSERT_EQ(points.size(), 11u);
  for (const SimulatedPoint& point : points) {
    EXPECT_NEAR(point.simulated_seconds / point.closed_form_seconds, 1, 1e-9) << point.world_size;
    EXPECT_NEAR(point.simulated_spread_seconds / point.closed_form_spread_seconds, 1, 0.03)
        << point.world_size;
  }
  EXPECT_GT(points.back().num_messages, 10000);
}

}  // namespace
}  // namespace breakeven
