// Pure. The simulation, message by message, beside the closed form.
#include "trainer/scaling/step_simulation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace breakeven {
namespace {

constexpr char kModel[] = R"({"model_type": "gpt2", "activation_function": "gelu_new",
  "n_embd": 768, "n_head": 12, "n_inner": null, "n_layer": 12, "n_positions": 1024,
  "layer_norm_epsilon": 1e-5, "vocab_size": 50257})";

StepSchedule Schedule(bool shard, bool overlapped, bool table_first) {
  StepSchedule schedule;
  schedule.forward_seconds = 3e-3;
  schedule.backward_seconds = 6e-3;
  schedule.update_seconds = 5e-4;
  schedule.overlapped = overlapped;
  schedule.shard = shard;
  BucketScheduleOptions options;
  options.table_first = table_first;
  schedule.buckets = ScheduleBuckets(ParseModelConfig(kModel, "test"), options);
  return schedule;
}

Fabric MakeFabric(bool pipelined, double network_latency) {
  Fabric fabric;
  fabric.launch_seconds = 14e-6;
  fabric.in_node = {3.4e-6, 1 / 450e9};
  fabric.between_nodes = {network_latency, 1 / 45e9};
  fabric.pipelined = pipelined;
  return fabric;
}

TEST(StepScheduleTest, BucketsHoldEveryGradientOnceAndAreReadyInOrder) {
  const ModelConfig model = ParseModelConfig(kModel, "test");
  for (const bool table_first : {false, true}) {
    const StepSchedule schedule = Schedule(false, true, table_first);
    double bytes = 0;
    double ready = 0;
    for (const ScheduledBucket& bucket : schedule.buckets) {
      bytes += bucket.bytes;
      EXPECT_GE(bucket.ready, ready) << table_first;
      ready = bucket.ready;
    }
    EXPECT_EQ(bytes, 4.0 * static_cast<double>(model.num_parameters()));
    EXPECT_EQ(schedule.buckets.front().ready == 0, table_first);
    EXPECT_NEAR(ready, 1, 1e-12);
  }
}

TEST(StepScheduleTest, NothingIsExposedThatBackwardCanHide) {
  StepSchedule schedule;
  schedule.forward_seconds = 1;
  schedule.backward_seconds = 2;
  schedule.update_seconds = 0.5;
  Fabric fabric;
  fabric.in_node.seconds_per_byte = 1;  // two ranks of a ring: T(S) = S
  const Topology two = {2, 2};
  schedule.buckets = {{0.5, 0.5}, {0.25, 1}};  // ready at 2 and 3; the first ends at 2.5
  EXPECT_NEAR(PredictStep(schedule, fabric, two).exposed_communication_seconds, 0.25, 1e-12);
  EXPECT_NEAR(PredictStep(schedule, fabric, two).step_seconds, 3.75, 1e-12);
  schedule.buckets = {{1.5, 0.5}, {0.25, 1}};  // the second waits until 3.5
  EXPECT_NEAR(PredictStep(schedule, fabric, two).exposed_communication_seconds, 0.75, 1e-12);
  schedule.overlapped = false;
  EXPECT_NEAR(PredictStep(schedule, fabric, two).exposed_communication_seconds, 1.75, 1e-12);
  EXPECT_EQ(PredictStep(schedule, fabric, {1, 2}).exposed_communication_seconds, 0);
}

TEST(StepSimulationTest, RanksOfOnePaceGiveTheClosedForm) {
  int compared = 0;
  for (const bool pipelined : {false, true}) {
    for (const bool shard : {false, true}) {
      for (const bool overlapped : {false, true}) {
        for (const double latency : {1e-7, 14e-6}) {  // ring, and halving-doubling
          for (const int64_t n : {1, 2, 8, 16, 24, 64, 1000, 1024, 4096}) {
            const StepSchedule schedule = Schedule(shard, overlapped, n % 3 == 0);
            const Fabric fabric = MakeFabric(pipelined, latency);
            const Topology topology = {n, 8};
            const double closed = PredictStep(schedule, fabric, topology).step_seconds;
            const double simulated = SimulateStep(schedule, fabric, topology, {}).step_seconds;
            EXPECT_NEAR(simulated / closed, 1, 1e-9)
                << n << " ranks, pipelined " << pipelined << ", shard " << shard;
            ++compared;
          }
        }
      }
    }
  }
  EXPECT_EQ(compared, 144);
}

TEST(StepSimulationTest, BothAlgorithmsBetweenNodesAreTaken) {
  const Topology topology = {64, 8};
  EXPECT_EQ(ChooseAlgorithm(MakeFabric(true, 14e-6), topology, 25e6),
            NetworkAlgorithm::kHalvingDoubling);
  EXPECT_EQ(ChooseAlgorithm(MakeFabric(true, 1e-9), {48, 8}, 25e6), NetworkAlgorithm::kRing);
}

// 25 MB on DGX H100 nodes: NCCL 2.30's tuner (src/graph/tuning.cc) has 122, 287, 353 and 387 µs at 8, 64, 256 and 1,024 ranks.
TEST(CollectiveCostTest, IsNearNcclsOwnModel) {
  const Fabric fabric = MakeFabric(true, 14e-6);
  const std::pair<int64_t, double> known[] = {
      {8, 122e-6}, {64, 287e-6}, {256, 353e-6}, {1024, 387e-6}};
  for (const auto& [n, seconds] : known) {
    const double ours = AllReduceSeconds(fabric, {n, 8}, 25e6);
    EXPECT_LT(std::abs(std::log(ours / seconds)), std::log(1.5)) << n << " ranks: " << ours;
  }
}

TEST(StepSimulationTest, UnevenRanksWaitForTheSlowest) {
  const StepSchedule schedule = Schedule(false, true, true);
  const Fabric fabric = MakeFabric(true, 14e-6);
  for (const int64_t n : {64, 2048}) {
    const SimulatedStep step = SimulateStep(schedule, fabric, {n, 8}, {0.02, 1});
    const double even = SimulateStep(schedule, fabric, {n, 8}, {}).step_seconds;
    EXPECT_GE(step.step_seconds, step.slowest_compute_seconds + schedule.update_seconds);
    EXPECT_GT(step.step_seconds, even);
    // √(2 ln n) bounds the expected largest of n normal draws from above; at these n it is within a fifth.
    const double compute = schedule.forward_seconds + schedule.backward_seconds;
    const double slowest = (step.slowest_compute_seconds / compute - 1) / 0.02;
    EXPECT_NEAR(slowest / StragglerFactor(n), 0.9, 0.2) << n;
  }
}

}  // namespace
}  // namespace breakeven
