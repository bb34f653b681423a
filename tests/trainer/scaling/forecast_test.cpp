// Pure. Forecasts of a cluster: what must hold whatever the constants.
#include "trainer/scaling/forecast.h"

#include <gtest/gtest.h>

#include "comm/base/error.h"
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

// The efficiencies are those of the closed form with NCCL 2.30's own costs (src/graph/tuning.cc) on DGX H100 nodes, before
// interference and stragglers: 8.8 ms of computing, buckets of 25 MB, none smaller.
TEST(ForecastTest, IsNearAStepWithNcclsOwnCosts) {
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

// A cluster that names no figures of a fabric, but what a sweep fitted.
Case MeasuredCase(int64_t ranks_per_node, const Fabric& fabric, double stretch) {
  Case made = MakeCase(45e9);
  ClusterConfig& cluster = made.config.clusters["c"];
  cluster.in_node = cluster.between_nodes = {};
  cluster.launch_seconds = 1;  // not looked at
  cluster.ranks_per_node = ranks_per_node;
  cluster.measured_exchange = "mpi on net";
  cluster.pace_spread_low = cluster.pace_spread_high = 0;
  made.config.workloads["w"].measured_model = "m";
  made.basis.measured["w"] = {1e-11, 0.1};
  made.basis.exchange["mpi on net"] = {fabric, stretch, 7};
  return made;
}

TEST(ForecastTest, MeasuredExchangeIsUsedAndAllOfItExposed) {
  Fabric fabric;
  fabric.between_nodes = {1e-4, 1e-8};
  Case made = MeasuredCase(1, fabric, 2);
  const ClusterStep cluster(made.config, "c", "w", made.basis);
  const Forecast forecast = MakeForecast(made.config, "c", "w", made.basis);
  ASSERT_EQ(forecast.points.size(), 11u) << "the network extends to more nodes";
  EXPECT_EQ(forecast.exchange, "between nodes measured here (mpi on net)");
  for (const ForecastPoint& point : forecast.points) {
    const int64_t n = point.world_size;
    double exchange = 0;
    for (const ScheduledBucket& bucket : cluster.Schedule({}, cluster.Middle(), n).buckets)
      exchange += 2 * AllReduceSeconds(fabric, {n, 1}, bucket.bytes);
    EXPECT_NEAR(point.exposed_communication_seconds, exchange, 1e-9) << n;
    EXPECT_NEAR(point.step_seconds, forecast.points[0].step_seconds + exchange, 1e-9) << n;
  }
  const ForecastPoint& last = forecast.points.back();
  EXPECT_NEAR(last.efficiency_interval.low, last.efficiency, 1e-9);
  made.basis.model_error = 0.1;
  const Forecast wide = MakeForecast(made.config, "c", "w", made.basis);
  EXPECT_LT(wide.points.back().efficiency_interval.low, 0.95 * wide.points.back().efficiency);
  made.basis.model_error = 0;
  made.basis.exchange_error["mpi on net"] = 0.5;
  const Forecast wider = MakeForecast(made.config, "c", "w", made.basis);
  EXPECT_LT(wider.points.back().efficiency_interval.low,
            0.8 * wide.points.back().efficiency_interval.low);
  EXPECT_NEAR(wider.points.front().tokens_interval.low, wider.points.front().tokens_interval.high,
              1e-6)
      << "one rank exchanges nothing";
  made.basis.exchange_error = {{"mpi on elsewhere", 0.5}};
  EXPECT_NEAR(MakeForecast(made.config, "c", "w", made.basis).points.back().efficiency_interval.low,
              last.efficiency, 1e-9);
}

TEST(ForecastTest, MeasuredExchangeOfGpusIsHiddenByTheScheduleAndNotByAShare) {
  Fabric fabric;
  fabric.between_nodes = {14e-6, 1 / 45e9};
  // Backward hid nearly all at the sizes that were measured.
  Case made = MeasuredCase(1, fabric, 0.01);
  made.basis.exchange["mpi on net"].overlapped = true;
  ClusterConfig& cluster = made.config.clusters["c"];
  cluster.interference_low = cluster.interference_high = 0;
  const Forecast measured = MakeForecast(made.config, "c", "w", made.basis);
  cluster.measured_exchange = "";
  cluster.between_nodes = {14e-6, 45e9};
  cluster.launch_seconds = 0;
  cluster.pipelined = false;
  const Forecast stated = MakeForecast(made.config, "c", "w", made.basis);
  ASSERT_EQ(measured.points.size(), stated.points.size());
  for (size_t i = 0; i < stated.points.size(); ++i) {
    EXPECT_NEAR(measured.points[i].step_seconds, stated.points[i].step_seconds, 1e-9);
    EXPECT_NEAR(measured.points[i].exposed_communication_seconds,
                stated.points[i].exposed_communication_seconds, 1e-9);
  }
}

TEST(ForecastTest, WhatBackwardLeftOverDoesNotSayWhatALinkTakes) {
  ExchangeLaw law;
  law.fabric.between_nodes = {14e-6, 1 / 45e9};
  EXPECT_TRUE(law.KnowsALink()) << "all of it was exposed";
  law.overlapped = true;
  EXPECT_FALSE(law.KnowsALink()) << "no collective was measured by itself";
  law.num_points = 7;
  EXPECT_TRUE(law.KnowsALink());
}

TEST(ForecastTest, WhatWasMeasuredInANodeEndsWithTheNode) {
  Fabric fabric;
  fabric.shared_memory = true;
  fabric.in_node = {1e-5, 1e-10};
  Case made = MeasuredCase(4, fabric, 1);
  const Forecast forecast = MakeForecast(made.config, "c", "w", made.basis);
  ASSERT_EQ(forecast.points.size(), 3u);
  EXPECT_EQ(forecast.points.back().world_size, 4);
  EXPECT_EQ(forecast.best.back().world_size, 4);
  EXPECT_EQ(forecast.not_known, (std::vector<int64_t>{8, 16, 32, 64, 128, 256, 512, 1024}));
  EXPECT_EQ(forecast.exchange, "in a node measured here, between nodes not known (mpi on net)");
  EXPECT_EQ(SimulateForecasts(made.config, made.basis).size(), 3u);
  // The stated link is a rank's share; shared memory sends by one rank, which has all of it.
  made.config.clusters["c"].between_nodes = {1e-5, 1e9};
  const ClusterStep cluster(made.config, "c", "w", made.basis);
  EXPECT_TRUE(cluster.Knows(8));
  EXPECT_EQ(cluster.FabricOf(cluster.Middle()).between_nodes.seconds_per_byte, 0.25e-9);
  EXPECT_EQ(MakeForecast(made.config, "c", "w", made.basis).exchange,
            "in a node measured here, between nodes stated (mpi on net)");
}

TEST(ForecastTest, LinksThatAreNotToldApartAreNotMeasured) {
  Fabric fabric;
  fabric.in_node = {1e-5, 1e-10};  // all of it, by the fit's choice
  Case made = MeasuredCase(2, fabric, 1);
  made.basis.exchange["mpi on net"].links_told_apart = false;
  const Forecast forecast = MakeForecast(made.config, "c", "w", made.basis);
  EXPECT_EQ(forecast.exchange, "in a node not known, between nodes not known (mpi on net)");
  EXPECT_EQ(forecast.points.size(), 1u) << "one rank exchanges nothing";
}

TEST(ClusterConfigTest, ALinkIsStatedOrMeasured) {
  ClusterConfig cluster = MakeCase(45e9).config.clusters["c"];
  EXPECT_NO_THROW(cluster.Validate());
  cluster.between_nodes = {};
  EXPECT_THROW(cluster.Validate(), Error);
  cluster.measured_exchange = "mpi on net";
  EXPECT_NO_THROW(cluster.Validate());
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
