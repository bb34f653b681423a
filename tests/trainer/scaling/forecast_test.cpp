// Pure. Forecasts of a cluster: what must hold whatever the constants.
#include "trainer/scaling/forecast.h"

#include <gtest/gtest.h>

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
  // reference/performance.md §4: 96.5 % at 8 and 90.9 % at 1,024 ranks before interference and stragglers.
  EXPECT_NEAR(forecast.points[3].efficiency, 0.93, 0.04);
  EXPECT_NEAR(forecast.points[10].efficiency, 0.82, 0.08);
}

TEST(ForecastTest, ASlowNetworkEndsWhatPays) {
  const Case fast = MakeCase(45e9), slow = MakeCase(1.4e9);
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
  EXPECT_GT(forecast.points[0].step, 1e-11 * 6 * 85e6 * 4096) << "seconds a FLOP of here";
}

TEST(ForecastTest, SimulationAgreesWithTheClosedForm) {
  const Case made = MakeCase(45e9);
  const auto points = SimulateForecasts(made.config, made.basis);
  ASSERT_EQ(points.size(), 11u);
  for (const SimulatedPoint& point : points) {
    EXPECT_NEAR(point.simulated / point.closed_form, 1, 1e-9) << point.world_size;
    EXPECT_NEAR(point.simulated_spread / point.closed_form_spread, 1, 0.03) << point.world_size;
  }
  EXPECT_GT(points.back().num_messages, 10000);
}

}  // namespace
}  // namespace breakeven
