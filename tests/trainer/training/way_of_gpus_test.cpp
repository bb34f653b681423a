// Whole runs on CPUs the way that GPUs go (trainer/autograd/aten_only.h). What must not change what a run
// learns is in training_invariance_test.cpp, for both ways.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/trainer/training/training_fixture.h"
#include "trainer/autograd/aten_only.h"

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

}  // namespace
}  // namespace breakeven
