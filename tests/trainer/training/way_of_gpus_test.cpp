// Whole runs on CPUs the way that GPUs go (trainer/autograd/aten_only.h). What must not change what a run
// learns is in training_invariance_test.cpp, for both ways.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data_pipeline/loader.h"
#include "tests/trainer/training/training_fixture.h"
#include "trainer/autograd/aten_only.h"
#include "trainer/training_session.h"
#include "trainer/training_step.h"

namespace breakeven {
namespace {

using WayOfGpusTest = TrainingTest;

// What a GPU runs, but for its kernels, beside what a CPU runs.
TEST_F(WayOfGpusTest, LearnsTheSame) {
  for (const std::string& model : {TinyLlamaJson(true), TinyGpt2Json()}) {
    WriteBytes(folder_ / "config.json", model);
    for (const bool shard : {false, true}) {
      std::vector<std::vector<nlohmann::json>> steps;
      std::vector<nlohmann::json> validations;
      for (const bool aten : {false, true}) {
        std::unique_ptr<AtenOnly> only;
        if (aten) only = std::make_unique<AtenOnly>();
        TrainConfig config = Config(aten ? "aten" : "kernels");
        std::filesystem::remove_all(config.output);
        config.optimizer.shard = shard;
        config.validation.data = folder_ / "dev.h5";
        Train(config, 2);
        steps.push_back(Metrics(config, "step"));
        validations.push_back(Metrics(config, "validation").back());
      }
      ASSERT_EQ(steps[1].size(), 20u);
      for (size_t step = 0; step < 20; ++step) {
        for (const char* key : {"loss", "grad_norm"}) {
          const double kernels = steps[0][step][key], aten = steps[1][step][key];
          EXPECT_LE(std::abs(aten - kernels), 2e-5 * std::max(1.0, kernels)) << key << ' ' << step;
        }
      }
      EXPECT_NEAR(validations[1]["loss"].get<double>(), validations[0]["loss"].get<double>(), 2e-5);
    }
  }
}

// Norm and decisions of the device are the same bits with shards and without.
TEST_F(WayOfGpusTest, IsBitEqualWithShards) {
  const AtenOnly only;
  std::vector<std::string> bytes;
  for (const bool shard : {false, true}) {
    TrainConfig config = Config(shard ? "sharded" : "whole");
    config.optimizer.shard = shard;
    bytes.push_back(Bytes(Train(config, 3).last_checkpoint));
  }
  EXPECT_TRUE(bytes[0] == bytes[1]);
}

// With exact phases a step's waits end with its own gathering; else the host does not wait for that, and the
// next step's begin with it.
TEST_F(WayOfGpusTest, AStepOfExactPhasesHasItsOwnGathering) {
  const AtenOnly only;
  const auto num_waits_of_steps = [&](bool exact_phases) {
    TrainConfig config = Config(exact_phases ? "exact" : "running");
    config.optimizer.shard = true;
    std::vector<size_t> num_waits;  // of rank 0
    RunThreadWorld(2, [&](World& world) {
      TrainingSession session(config, world, "");
      session.exact_phases = exact_phases;
      LoaderOptions options;
      options.drop_tails = true;
      options.rank = world.rank();
      options.num_steps = 3;
      Loader loader(*session.inputs.train, *session.inputs.planner, options);
      for (int64_t step = 0; step < options.num_steps; ++step) {
        const std::optional<LoadedStep> loaded = loader.Next();
        ASSERT_TRUE(loaded.has_value());
        const StepResult result =
            RunStep(session, *loaded, /*stop=*/false, /*checkpoint_due=*/false);
        ++session.state.step;
        if (world.is_root()) num_waits.push_back(result.waits.size());
      }
    });
    return num_waits;
  };
  const std::vector<size_t> exact = num_waits_of_steps(true), running = num_waits_of_steps(false);
  ASSERT_EQ(exact.size(), 3u);
  const size_t all = exact[0];
  EXPECT_EQ(exact, (std::vector<size_t>{all, all, all}));
  EXPECT_EQ(running, (std::vector<size_t>{all - 1, all, all}));
}

}  // namespace
}  // namespace breakeven
