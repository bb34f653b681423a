// Pure. What a sweep runs, in which order, and what its table makes of the results.
#include "trainer/scaling/scaling_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "comm/base/error.h"
#include "trainer/scaling/scaling_table.h"

namespace breakeven {
namespace {

using ::testing::HasSubstr;

ScaleConfig Config() {
  ScaleConfig config;
  config.train.data = "train.h5";
  config.models["a"].path = "models/a";
  config.models["b"].config = "b.json";
  config.strong_batch.examples = 16;
  config.weak_batch.examples = 4;
  config.repeats = 3;
  return config;
}

TEST(ScalingPlanTest, OneRankStandsOnceAndSeveralOnceForEachBackEnd) {
  const auto cells = PlanCells(Config());
  // Two models, strong and weak, one rank + 2 sizes × 2 back ends.
  EXPECT_EQ(cells.size(), 2u * 2 * (1 + 2 * 2));
  std::set<std::string> names;
  for (const ScalingCell& cell : cells) {
    names.insert(cell.Name());
    EXPECT_EQ(cell.world_size == 1, cell.backend == "one_rank") << cell.Name();
  }
  EXPECT_EQ(names.size(), cells.size());
}

TEST(ScalingPlanTest, RepeatsTakeTurnsAndGoBackwardsEveryOtherTime) {
  const ScaleConfig config = Config();
  const auto runs = PlanRuns(config);
  const size_t num_cells = PlanCells(config).size();
  ASSERT_EQ(runs.size(), 2 + 3 * num_cells);
  EXPECT_EQ(runs[0].kind, RunKind::kAllReduce);
  EXPECT_EQ(runs[0].cell.world_size, 2);
  for (size_t i = 0; i < num_cells; ++i) {
    const size_t first = 2;
    EXPECT_EQ(runs[first + i].cell, runs[first + 2 * num_cells - 1 - i].cell);
    EXPECT_EQ(runs[first + i].cell, runs[first + 2 * num_cells + i].cell);
    EXPECT_EQ(runs[first + num_cells + i].repeat, 1);
  }
}

TEST(ScalingPlanTest, StrongKeepsTheStepsBatchAndWeakTheRanks) {
  const ScaleConfig config = Config();
  for (const ScalingRun& run : PlanRuns(config)) {
    if (run.kind != RunKind::kStep) continue;
    const TrainConfig train = StepConfigOf(config, run).train;
    const int64_t expected = run.cell.scaling == "strong" ? 16 : 4 * run.cell.world_size;
    EXPECT_EQ(train.batching.global_batch.examples, expected) << run.name;
    EXPECT_EQ(train.comm.backend, run.cell.world_size == 1 ? "auto" : run.cell.backend);
    EXPECT_EQ(train.model.path.empty(), run.cell.model == "b");
  }
}

TEST(ScalingPlanTest, TrainingsAreOneForEachBatchAndPrecision) {
  ScaleConfig config = Config();
  config.quality_epochs = 0.5;
  config.precisions = {"float32", "bfloat16"};
  int trainings = 0;
  for (const ScalingRun& run : PlanRuns(config)) {
    if (run.kind != RunKind::kTrain) continue;
    ++trainings;
    const TrainConfig train = TrainConfigOf(config, run, "out");
    EXPECT_EQ(train.epochs, 0.5);
    EXPECT_EQ(train.output, "out");
    EXPECT_EQ(train.precision, run.cell.precision);
  }
  EXPECT_EQ(trainings, 2 * 2 * 2 * 3);
}

TEST(ScalingPlanTest, CollectivesAreMeasuredByTheBackEndsOfTheCellsOnTheirDevice) {
  ScaleConfig config = Config();
  config.backends = {"auto", "mpi"};
  config.train.device.device = "cpu";
  EXPECT_EQ(AllReduceConfigOf(config).backends, config.backends);
  EXPECT_EQ(AllReduceConfigOf(config).device.device, "cpu");
  config.train.device.device = "auto";
  config.backends = {"nccl"};
  EXPECT_EQ(AllReduceConfigOf(config).backends, config.backends);
  for (const ScalingRun& run : PlanRuns(config)) {
    if (run.kind != RunKind::kStep) continue;
    EXPECT_EQ(StepConfigOf(config, run).train.device.device, "cuda") << run.name;
    EXPECT_EQ(StepConfigOf(config, run).train.comm.backend, "auto") << run.name;
  }
}

TEST(ScaleConfigTest, NodesThatAreOneMachineShareItsCores) {
  ScaleConfig config = Config();
  config.networks["net"];
  EXPECT_EQ(config.CoresOfNode(2, "net", 4), 2);
  config.networks["net"].nodes_per_machine = 4;
  EXPECT_EQ(config.CoresOfNode(2, "net", 1), 2);
  EXPECT_EQ(config.CoresOfNode(2, "net", 2), 1);
  EXPECT_EQ(config.CoresOfNode(2, "net", 4), 0.5) << "a rank on each is more ranks than CPUs";
  EXPECT_EQ(config.CoresOfNode(2, "net", 8), 0.5) << "of two machines";
}

TEST(ScaleConfigTest, SaysWhatIsWrong) {
  const auto message = [](const std::function<void(ScaleConfig&)>& change) -> std::string {
    ScaleConfig config = Config();
    change(config);
    try {
      config.Validate();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message([](ScaleConfig&) {}), "");
  EXPECT_THAT(message([](ScaleConfig& c) { c.models.clear(); }), HasSubstr("models"));
  EXPECT_THAT(message([](ScaleConfig& c) { c.models["../x"].path = "m"; }), HasSubstr("../x"));
  EXPECT_THAT(message([](ScaleConfig& c) { c.weak_batch.tokens = 9; }), HasSubstr("weak_batch"));
  EXPECT_THAT(message([](ScaleConfig& c) { c.world_sizes = {2, 2}; }), HasSubstr("twice"));
  EXPECT_THAT(message([](ScaleConfig& c) { c.backends = {"nccl", "mpi"}; }), HasSubstr("nccl"));
  EXPECT_THAT(message([](ScaleConfig& c) { c.train.device.device = "cuda"; }), HasSubstr("nccl"));
  EXPECT_THAT(message([](ScaleConfig& c) {
                c.backends = {"nccl"};
                c.train.device.device = "cpu";
              }),
              HasSubstr("train.device"));
  EXPECT_THAT(message([](ScaleConfig& c) {
                c.forecast.clusters["c"].measured_exchange = "mpi on elsewhere";
              }),
              HasSubstr("\"mpi on node\""));
  EXPECT_EQ(
      message([](ScaleConfig& c) { c.forecast.clusters["c"].measured_exchange = "mpi on node"; }),
      "");
  EXPECT_THAT(message([](ScaleConfig& c) { c.forecast.published.emplace_back(); }),
              HasSubstr("published.cluster"));
}

StepMeasurement Measured(int64_t n, double tokens_per_second) {
  StepMeasurement m;
  m.world_size = n;
  m.tokens = 100;
  m.tokens_per_second = tokens_per_second;
  m.mean_step_seconds = m.tokens / tokens_per_second;
  return m;
}

TEST(ScalingTableTest, PairsRepeatsSoThatDriftDropsOut) {
  ScaleConfig config = Config();
  config.models.erase("b");
  config.price_per_device_hour = 3.6;
  ScalingResults results;
  // The machine slows down by a third from repeat to repeat; two ranks are 1.8 times as fast throughout.
  const double drift[] = {1, 0.67, 0.45};
  for (const ScalingRun& run : PlanRuns(config)) {
    const int64_t n = run.cell.world_size;
    if (run.kind != RunKind::kStep || n == 4) continue;
    results.steps[run.name] = Measured(n, 50 * drift[run.repeat] * (n == 1 ? 1 : 1.8));
  }
  results.failures["step_a_strong_n4_mpi_float32_node_r2"] = "exit code 1";
  int measured = 0;
  for (const ScalingRow& row : MakeScalingTable(config, results)) {
    if (row.cell.world_size == 4) {
      EXPECT_EQ(row.num_repeats, 0);
      EXPECT_EQ(row.num_failed, row.cell.Name() == "a_strong_n4_mpi_float32_node" ? 1 : 0);
      continue;
    }
    ++measured;
    const double efficiency = row.cell.world_size == 1 ? 1 : 0.9;
    EXPECT_NEAR(row.efficiency, efficiency, 1e-12) << row.cell.Name();
    EXPECT_NEAR(row.efficiency_interval.low, efficiency, 1e-9);
    EXPECT_NEAR(row.efficiency_interval.high, efficiency, 1e-9);
    EXPECT_NEAR(row.speed_up, efficiency * static_cast<double>(row.cell.world_size), 1e-12);
    EXPECT_NEAR(row.price_per_million,
                1000 * static_cast<double>(row.cell.world_size) / row.tokens_per_second, 1e-9);
  }
  EXPECT_EQ(measured, 6);
}

TEST(ScalingTableTest, IntervalIsStudentsOnLogarithms) {
  ScaleConfig config = Config();
  config.models.erase("b");
  config.world_sizes = {1, 2};
  config.backends = {"mpi"};
  config.scaling = {"strong"};
  ScalingResults results;
  const double two[] = {90, 80, 100};
  for (const ScalingRun& run : PlanRuns(config)) {
    if (run.kind == RunKind::kStep)
      results.steps[run.name] =
          Measured(run.cell.world_size, run.cell.world_size == 1 ? 50 : two[run.repeat]);
  }
  const ScalingRow row = MakeScalingTable(config, results).back();
  // R: t.test(log(c(.9,.8,1)))
  double mean = 0, squares = 0;
  for (const double t : two) mean += std::log(t / 100) / 3;
  for (const double t : two) squares += std::pow(std::log(t / 100) - mean, 2);
  const double half = 4.302652729911275 * std::sqrt(squares / 2 / 3);
  EXPECT_NEAR(row.efficiency_interval.low, std::exp(mean - half), 1e-9);
  EXPECT_NEAR(row.efficiency_interval.high, std::exp(mean + half), 1e-9);
}

TEST(ScalingTableTest, ARowHasWhatWasLearnedInItsOwnPrecision) {
  ScaleConfig config = Config();
  config.models.erase("b");
  config.precisions = {"float32", "bfloat16"};
  config.quality_epochs = 1;
  ScalingResults results;
  for (const ScalingRun& run : PlanRuns(config)) {
    if (run.kind == RunKind::kStep) results.steps[run.name] = Measured(run.cell.world_size, 50);
    if (run.kind != RunKind::kTrain) continue;
    results.trainings[run.name].validation_loss = run.cell.precision == "float32" ? 3 : 4;
  }
  for (const ScalingRow& row : MakeScalingTable(config, results)) {
    ASSERT_TRUE(row.learned.has_value()) << row.cell.Name();
    EXPECT_EQ(row.learned->validation_loss, row.cell.precision == "float32" ? 3 : 4)
        << row.cell.Name();
  }
}

TEST(ScalingTableTest, BandwidthIsOfTheBackEndThatWasUsed) {
  ScaleConfig config = Config();
  config.models.erase("b");
  config.world_sizes = {1, 2};
  config.backends = {"auto"};
  config.networks["net"];
  ScalingResults results;
  for (const auto& [backend, bandwidth] : {std::pair("mpi", 1e9), std::pair("nccl", 9e9)})
    results.collectives.push_back({backend, "net", 2, 2, 1 << 24, 1, bandwidth, true});
  const auto bandwidth = [&](const std::string& used) {
    for (const ScalingRun& run : PlanRuns(config)) {
      if (run.kind != RunKind::kStep) continue;
      results.steps[run.name] = Measured(run.cell.world_size, 50);
      results.steps[run.name].backend = used;
    }
    const auto rows = MakeScalingTable(config, results);
    EXPECT_TRUE(std::isnan(rows[0].bus_bytes_per_second)) << "one rank exchanges nothing";
    EXPECT_EQ(rows[1].backend, used);
    return rows[1].bus_bytes_per_second;
  };
  EXPECT_EQ(bandwidth("nccl"), 9e9);
  EXPECT_EQ(bandwidth("mpi"), 1e9);
  EXPECT_TRUE(std::isnan(bandwidth("shared_memory"))) << "not measured by itself";
  EXPECT_TRUE(std::isnan(bandwidth(""))) << "an earlier program did not say which";
}

TEST(MeasurementsTest, ScoresAreOfTheLastCheckpointSplitBySplit) {
  const auto event = [](const char* model, const char* split, double value) {
    return std::string(R"({"event": "prompt_eval", "task": "t", "variant": "v", "n": 9, )") +
           R"("model": ")" + model + R"(", "split": ")" + split + R"(", "tokens": 7, "mcc": )" +
           std::to_string(value) + R"(, "mcc_standard_error": 0.1})" + "\n";
  };
  const TrainMeasurement m = ParseTraining(
      event("base", "dev", 0.1) + event("tuned@step_999999", "dev", 0.2) +
          event("tuned@step_1000000", "dev", 0.3) + event("tuned@step_1000000", "test", 0.4) +
          event("tuned@step_000003", "dev", 0.5) + event("tuned@step_000003", "test", 0.6),
      "metrics.jsonl");
  const std::map<std::string, double> expected = {{"t v dev mcc", 0.3}, {"t v test mcc", 0.4}};
  EXPECT_EQ(m.scores, expected);
}

TEST(MeasurementsTest, DamagedFilesAreNamed) {
  for (const char* text : {"", "{}", R"({"format": 2})"}) {
    try {
      ParseStepMeasurement(text, "cells/x.json");
      FAIL() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadData);
      EXPECT_THAT(error.what(), HasSubstr("cells/x.json"));
    }
  }
}

}  // namespace
}  // namespace breakeven
