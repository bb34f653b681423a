#include "comm/base/suggest.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace breakeven {
namespace {

const std::vector<std::string> kNames = {"learning_rate", "warmup_steps", "weight_decay", "seed",
                                         "trim"};

TEST(NearestName, FindsTypingMistakes) {
  EXPECT_EQ(NearestName("learnign_rate", kNames), "learning_rate");
  EXPECT_EQ(NearestName("LearningRate", kNames), "learning_rate");
  EXPECT_EQ(NearestName("wamup_step", kNames), "warmup_steps");
  EXPECT_EQ(NearestName("trimm", kNames), "trim");
  EXPECT_EQ(NearestName("tirm", kNames), "trim");
}

TEST(NearestName, SaysNothingWhenNoneIsNear) {
  EXPECT_EQ(NearestName("optimizer", kNames), "");
  EXPECT_EQ(NearestName("", kNames), "");
  EXPECT_EQ(NearestName("x", std::vector<std::string>{"y"}), "");
  EXPECT_EQ(NearestName("seed", std::vector<std::string>{}), "");
  EXPECT_EQ(NearestName(std::string(100'000, 'a'), kNames), "");
}

TEST(NearestName, TakesTheFirstOfEquals) {
  EXPECT_EQ(NearestName("cats", std::vector<std::string>{"bats", "rats"}), "bats");
}

TEST(DidYouMean, IsTheEndOfAMessage) {
  EXPECT_EQ(DidYouMean("sead", kNames), "; did you mean 'seed'?");
  EXPECT_EQ(DidYouMean("optimizer", kNames), "");
}

}  // namespace
}  // namespace breakeven
