// Pure. Planted truths are found again, and predicted where the fit has not seen them.
#include "trainer/scaling/scaling_fit.h"

#include <gtest/gtest.h>

#include <cmath>

#include "comm/base/random.h"

namespace breakeven {
namespace {

struct Planted {
  std::vector<FitCell> cells;
  std::vector<FitCollective> collectives;
  ScalingFit truth;
};

Planted Plant(double noise) {
  Planted planted;
  ScalingFit& truth = planted.truth;
  truth.contention = 0.2;
  truth.oversubscription = 0.1;
  truth.compute["large float32"] = {1e-11, 0.05};
  truth.compute["small float32"] = {2e-11, 0.004};
  truth.exchange["shared_memory on node"].fabric.shared_memory = true;
  truth.exchange["shared_memory on node"].fabric.in_node = {2e-6, 1 / 30e9};
  truth.exchange["shared_memory on node"].stretch = 1.5;
  truth.exchange["mpi on node"].fabric.in_node = {5e-6, 1 / 2e9};
  truth.exchange["mpi on node"].stretch = 1.2;
  truth.exchange["mpi on node"].skew_of_busy = 0.03;
  truth.exchange["mpi on node"].skew_of_exposed = 0.25;
  uint64_t draw = 0;
  const auto noisy = [&](double value) {
    return value * std::exp(noise * RandomNormal(7, 0, draw++));
  };
  for (const auto& [model, law] : truth.compute) {
    for (const bool weak : {false, true}) {
      for (const int64_t n : {1, 2, 4, 8}) {
        for (const auto& [exchange, how] : truth.exchange) {
          FitCell cell;
          cell.compute = model;
          cell.exchange = exchange;
          cell.shared_memory = how.fabric.shared_memory;
          cell.topology = {n, n};
          cell.cores = 4;
          cell.flops = weak ? 4e10 : 16e10 / static_cast<double>(n);
          if (n > 1) cell.buckets = {64e6, 16e6, 16e6, 4e6, 1e6};
          cell.busy_seconds = truth.Busy(cell);
          cell.exposed_communication_seconds = truth.Exposed(cell);
          cell.skew_seconds = noisy(truth.Skew(cell));
          cell.busy_seconds = noisy(cell.busy_seconds);
          if (n > 1) cell.exposed_communication_seconds = noisy(cell.exposed_communication_seconds);
          planted.cells.push_back(cell);
        }
      }
    }
  }
  for (const auto& [exchange, how] : truth.exchange) {
    for (const int64_t n : {2, 4, 8}) {
      for (const double bytes : {1e3, 1e5, 1e6, 1.6e7, 6.4e7}) {
        const Topology topology = {n, n};
        const double turns = n > 4 ? 2 : 1;
        planted.collectives.push_back(
            {exchange, how.fabric.shared_memory, topology, 4, bytes,
             noisy(turns * AllReduceSeconds(how.fabric, topology, bytes))});
      }
    }
  }
  return planted;
}

TEST(ScalingFitTest, FindsThePlantedConstants) {
  const Planted planted = Plant(0);
  const ScalingFit fit = FitScaling(planted.cells, planted.collectives);
  EXPECT_NEAR(fit.contention, 0.2, 1e-4);
  EXPECT_NEAR(fit.oversubscription, 0.1, 1e-4);
  for (const auto& [name, law] : planted.truth.compute) {
    EXPECT_NEAR(fit.compute.at(name).seconds_per_flop / law.seconds_per_flop, 1, 1e-4) << name;
    EXPECT_NEAR(fit.compute.at(name).seconds_per_step / law.seconds_per_step, 1, 1e-3) << name;
  }
  for (const auto& [name, law] : planted.truth.exchange) {
    const ExchangeLaw& found = fit.exchange.at(name);
    EXPECT_NEAR(found.fabric.in_node.latency_seconds / law.fabric.in_node.latency_seconds, 1, 1e-6);
    EXPECT_NEAR(found.fabric.in_node.seconds_per_byte / law.fabric.in_node.seconds_per_byte, 1,
                1e-6);
    EXPECT_NEAR(found.stretch, law.stretch, 1e-6);
    EXPECT_NEAR(found.skew_of_busy, law.skew_of_busy, 1e-5);
    EXPECT_NEAR(found.skew_of_exposed, law.skew_of_exposed, 1e-3);
    EXPECT_EQ(found.num_points, 15);
  }
}

TEST(ScalingFitTest, PredictsWhatItHasNotSeen) {
  const Planted planted = Plant(0.03);
  const LeftOut cell = LeaveOneCellOut(planted.cells, planted.collectives);
  EXPECT_LT(cell.median_size, 0.05);
  EXPECT_LT(cell.largest_size, 0.15);
  const LeftOut size = LeaveOneWorldSizeOut(planted.cells, planted.collectives);
  EXPECT_LT(size.median_size, 0.12);
  EXPECT_TRUE(std::isfinite(size.oversubscribed_median));
  ASSERT_EQ(size.errors.size(), planted.cells.size());
}

TEST(ScalingFitTest, ForecastsHaveTheErrorOfUnseenRanksWhereThereAreEnough) {
  using Source = ForecastError::Source;
  const auto with = [](std::vector<int64_t> sizes) {
    std::vector<FitCell> cells;
    for (const int64_t n : sizes) cells.emplace_back().topology.world_size = n;
    return cells;
  };
  const std::vector<double> some(4, 0.2), none(4, NAN), one_size = {0.2, NAN, NAN, NAN};
  const LeftOut cell = {some, 0.02, 0.1, NAN, NAN}, ranks = {some, 0.2, 0.4, NAN, NAN};
  const LeftOut unknown = {none, NAN, NAN, NAN, NAN}, one = {one_size, 0.2, 0.2, NAN, NAN};
  const ForecastError enough = ErrorOfForecasts(with({1, 2, 2, 4}), cell, ranks);
  EXPECT_EQ(enough.source, Source::kWorldSize);
  EXPECT_EQ(enough.size, 0.2);
  for (const auto& [cells, left_out] :
       {std::pair(with({1, 2, 2}), ranks), std::pair(with({1, 2, 4}), unknown),
        std::pair(with({1, 2, 4}), one)}) {
    const ForecastError error = ErrorOfForecasts(cells, cell, left_out);
    EXPECT_EQ(error.source, Source::kCell);
    EXPECT_EQ(error.size, 0.02);
  }
  EXPECT_EQ(ErrorOfForecasts(with({1}), unknown, unknown).source, Source::kUnknown);
  EXPECT_EQ(ErrorOfForecasts({}, {}, {}).source, Source::kUnknown) << "nothing was measured";
}

TEST(ScalingFitTest, AWireIsNoSlowerWhereRanksTakeTurns) {
  Fabric wire;
  wire.between_nodes = {1e-4, 8e-9};
  std::vector<FitCollective> collectives;
  for (const int64_t n : {2, 4}) {
    for (const double bytes : {1e3, 1e6, 1.6e7}) {
      const Topology topology = {n, 1};  // four nodes of half a CPU
      collectives.push_back({"e", false, topology, 2.0 / static_cast<double>(n), bytes,
                             AllReduceSeconds(wire, topology, bytes)});
    }
  }
  FitCell cell;
  cell.compute = "c";
  cell.exchange = "e";
  cell.topology = {4, 1};
  cell.cores = 0.5;
  cell.flops = 1e9;
  cell.buckets = {1e6, 1e6};
  cell.busy_seconds = 1;
  cell.exposed_communication_seconds = 2 * AllReduceSeconds(wire, cell.topology, 1e6);
  const ScalingFit fit = FitScaling(std::vector{cell}, collectives);
  const ExchangeLaw& law = fit.exchange.at("e");
  EXPECT_NEAR(law.fabric.between_nodes.latency_seconds, 1e-4, 1e-9);
  EXPECT_NEAR(law.fabric.between_nodes.seconds_per_byte, 8e-9, 1e-14);
  EXPECT_NEAR(law.stretch, 1, 1e-6);
  EXPECT_NEAR(fit.Exposed(cell), cell.exposed_communication_seconds, 1e-9);
}

// Nodes of two ranks: sizes up to 2 use a node's link alone, larger ones both.
Planted PlantNodes(const std::vector<int64_t>& sizes) {
  Planted planted;
  planted.truth.compute["c"] = {1e-11, 0};
  ExchangeLaw& law = planted.truth.exchange["e"];
  law.fabric.in_node = {5e-6, 1 / 2e9};
  law.fabric.between_nodes = {1e-4, 1 / 1e8};
  for (const int64_t n : sizes) {
    FitCell& cell = planted.cells.emplace_back();
    cell.compute = "c";
    cell.exchange = "e";
    cell.topology = {n, 2};
    cell.cores = 8;
    cell.flops = 4e10;
    cell.busy_seconds = 0.4;
    if (n == 1) continue;
    cell.buckets = {16e6, 4e6, 1e6};
    cell.exposed_communication_seconds = planted.truth.Exposed(cell);
    for (const double bytes : {1e3, 1e6, 6.4e7}) {
      planted.collectives.push_back({"e", false, cell.topology, 8, bytes,
                                     AllReduceSeconds(law.fabric, cell.topology, bytes)});
    }
  }
  return planted;
}

TEST(ScalingFitTest, ACellIsPredictedOnlyWhereAllItsLinksWereMeasured) {
  const Planted planted = PlantNodes({1, 2, 4});
  const ScalingFit fit = FitScaling(planted.cells, planted.collectives);
  EXPECT_TRUE(fit.exchange.at("e").links_told_apart);
  EXPECT_NEAR(fit.exchange.at("e").fabric.between_nodes.seconds_per_byte, 1e-8, 1e-12);
  const LeftOut size = LeaveOneWorldSizeOut(planted.cells, planted.collectives);
  EXPECT_NEAR(size.errors[0], 0, 1e-6);
  EXPECT_TRUE(std::isnan(size.errors[1])) << "two nodes do not say what one of them takes";
  EXPECT_TRUE(std::isnan(size.errors[2])) << "one node says nothing of a network";
  const Planted more = PlantNodes({1, 2, 4, 8});
  const LeftOut size_of_more = LeaveOneWorldSizeOut(more.cells, more.collectives);
  for (const size_t i : {1, 2, 3}) EXPECT_NEAR(size_of_more.errors[i], 0, 0.01) << i;
}

TEST(ScalingFitTest, TheExchangeHasAnErrorOfItsOwn) {
  using Source = ForecastError::Source;
  Planted planted = PlantNodes({1, 2, 4, 8});
  for (FitCell& cell : planted.cells) cell.topology.ranks_per_node = 8;
  planted.truth.exchange["e"].fabric.between_nodes = {};
  const auto errors = [&] {
    planted.collectives.clear();
    for (FitCell& cell : planted.cells) {
      if (cell.topology.world_size == 1) continue;
      // With each doubling the exchange in a step takes 1.3 times as much as its collectives say.
      const double grows = std::pow(1.3, std::log2(static_cast<double>(cell.topology.world_size)));
      cell.exposed_communication_seconds = grows * planted.truth.Exposed(cell);
      for (const double bytes : {1e3, 1e6, 6.4e7}) {
        planted.collectives.push_back(
            {"e", false, cell.topology, 8, bytes,
             AllReduceSeconds(planted.truth.exchange["e"].fabric, cell.topology, bytes)});
      }
    }
    const LeftOut size = LeaveOneWorldSizeOut(planted.cells, planted.collectives);
    EXPECT_TRUE(std::isnan(size.exchange_errors[0])) << "one rank exchanges nothing";
    const LeftOut cell = LeaveOneCellOut(planted.cells, planted.collectives);
    EXPECT_LT(ErrorOfForecasts(planted.cells, cell, size).size, 0.05) << "computing is most of it";
    return ErrorsOfExchange(planted.cells, cell, size);
  };
  const ForecastError exposed = errors().at("e");
  EXPECT_EQ(exposed.source, Source::kWorldSize);
  EXPECT_GT(exposed.size, 0.1);
  // Beside backward collectives by themselves count, and those follow the model.
  for (FitCell& cell : planted.cells) cell.overlapped = true;
  EXPECT_NEAR(errors().at("e").size, 0, 1e-6);
  // Two numbers of ranks that exchange: without one of them, the other is one alone.
  planted.cells.resize(2);
  planted.cells[1].overlapped = false;
  EXPECT_EQ(errors().at("e").source, Source::kUnknown);
  planted.cells.push_back(planted.cells[1]);
  EXPECT_EQ(errors().at("e").source, Source::kCell);
}

TEST(ScalingFitTest, LinksInOneProportionAreNotToldApart) {
  const Planted planted = PlantNodes({1, 4});
  for (const bool collectives : {true, false}) {
    const ScalingFit fit =
        FitScaling(planted.cells, collectives ? planted.collectives : std::vector<FitCollective>{});
    const ExchangeLaw& law = fit.exchange.at("e");
    EXPECT_FALSE(law.links_told_apart);
    EXPECT_FALSE(law.KnowsALink());
    FitCell cell = planted.cells[1];
    EXPECT_TRUE(fit.Knows(cell)) << "their sum was measured";
    EXPECT_NEAR(fit.Step(cell) / cell.step_seconds(), 1, 0.02);
    for (const int64_t n : {2, 8}) {
      cell.topology.world_size = n;
      EXPECT_FALSE(fit.Knows(cell)) << n;
    }
  }
  for (const std::vector<int64_t>& sizes : {std::vector<int64_t>{1, 2}, {1, 2, 4}, {4, 8}}) {
    const Planted told = PlantNodes(sizes);
    EXPECT_TRUE(FitScaling(told.cells, told.collectives).exchange.at("e").links_told_apart);
  }
}

TEST(ScalingFitTest, WhatCannotBeToldIsLeftOpen) {
  Planted planted = Plant(0);
  // One rank alone: no contention, no exchange.
  std::erase_if(planted.cells, [](const FitCell& c) { return c.topology.world_size > 1; });
  const ScalingFit fit = FitScaling(planted.cells, {});
  EXPECT_EQ(fit.contention, 0);
  EXPECT_EQ(fit.oversubscription, 0);
  FitCell unseen = Plant(0).cells.back();
  EXPECT_FALSE(fit.Knows(unseen)) << "its back end was never measured";
  EXPECT_TRUE(std::isnan(LeaveOneWorldSizeOut(planted.cells, {}).errors.front()));
}

TEST(ScalingFitTest, StepsAloneGiveAnExchangeWhereNoCollectiveWasMeasured) {
  const Planted planted = Plant(0);
  const ScalingFit fit = FitScaling(planted.cells, {});
  for (const FitCell& cell : planted.cells) {
    if (cell.oversubscribed()) continue;
    EXPECT_NEAR(fit.Step(cell) / cell.step_seconds(), 1, 0.02) << cell.topology.world_size;
  }
}

}  // namespace
}  // namespace breakeven
