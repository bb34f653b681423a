// Pure.
#include "trainer/metrics_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/temp_folder.h"

namespace breakeven {
namespace {

using Json = nlohmann::json;

class MetricsLogTest : public testing::Test {
 protected:
  std::vector<Json> Lines() const {
    std::vector<Json> lines;
    std::ifstream file(path_);
    for (std::string line; std::getline(file, line);) lines.push_back(Json::parse(line));
    return lines;
  }

  std::vector<int64_t> Steps() const {
    std::vector<int64_t> steps;
    for (const Json& line : Lines()) steps.push_back(line["step"].get<int64_t>());
    return steps;
  }

  const TempFolder folder_;
  const std::string path_ = folder_ / "metrics.jsonl";
};

TEST_F(MetricsLogTest, StepHasTheKeysOfTheContractAndReadsBackExactly) {
  {
    MetricsLog log(path_, 0);
    log.Step({.step = 1,
              .epoch = 0,
              .loss = 1.0 / 3,
              .learning_rate = 5e-5,
              .grad_norm = std::nan(""),
              .target_tokens = 32,
              .tokens = 640,
              .step_seconds = 0.25,
              .exposed_communication_seconds = 0.1,
              .skew_seconds = 0.05,
              .input_wait_seconds = 1e-7,
              .skipped = true});
  }
  ASSERT_EQ(Lines().size(), 1u);
  const Json line = Lines()[0];
  EXPECT_EQ(line["event"], "step");
  EXPECT_EQ(line["loss"].get<double>(), 1.0 / 3);
  EXPECT_EQ(line["learning_rate"].get<double>(), 5e-5);
  EXPECT_TRUE(line["grad_norm"].is_null());
  EXPECT_EQ(line["tokens_per_second"].get<double>(), 2560);
  for (const char* key : {"epoch", "target_tokens", "tokens", "step_seconds",
                          "exposed_communication_seconds", "skew_seconds", "input_wait_seconds"}) {
    EXPECT_TRUE(line.contains(key)) << key;
  }
}

TEST_F(MetricsLogTest, ResumeDropsLaterStepsAndATornLine) {
  {
    MetricsLog log(path_, 0);
    for (int64_t step = 1; step <= 5; ++step) log.Step({.step = step});
    log.Event("checkpoint", 5, {{"path", "checkpoints/step_000005"}, {"seconds", 0.5}});
  }
  std::ofstream(path_, std::ios::app) << R"({"event":"step","step":6,"lo)";
  {
    MetricsLog log(path_, 3);
    log.Step({.step = 4});
  }
  EXPECT_THAT(Steps(), testing::ElementsAre(1, 2, 3, 4));
}

TEST_F(MetricsLogTest, ATornLineGoesAlsoWithoutLaterSteps) {
  std::ofstream(path_) << R"({"event":"step","step":1})"
                          "\n"
                          R"({"event":"st)";
  { MetricsLog log(path_, 10); }
  EXPECT_THAT(Steps(), testing::ElementsAre(1));
}

TEST_F(MetricsLogTest, OtherRanksWriteNothing) {
  MetricsLog log("", 0);
  log.Step({.step = 1});
  log.Event("end", 1, {});
  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace breakeven
