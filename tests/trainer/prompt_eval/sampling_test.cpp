// Pure.
#include "trainer/prompt_eval/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <vector>

namespace breakeven {
namespace {

const std::vector<float> kLogits = {std::log(0.1F), std::log(0.4F), std::log(0.4F), std::log(0.1F)};

// Share of 10,000 evenly spread draws that gives each token.
std::map<int32_t, double> Shares(const SamplingOptions& options) {
  std::map<int32_t, double> shares;
  for (int i = 0; i < 10000; ++i) {
    shares[ChooseToken(kLogits, options, (i + 0.5) / 10000)] += 1e-4;
  }
  return shares;
}

TEST(SamplingTest, GreedyTakesTheFirstOfTheLargest) {
  EXPECT_EQ(ChooseToken(kLogits, {}, 0.99), 1);
}

TEST(SamplingTest, TemperatureOneIsTheModelsDistribution) {
  const auto shares = Shares({1.0, 1.0, 0});
  EXPECT_NEAR(shares.at(0), 0.1, 1e-3);
  EXPECT_NEAR(shares.at(1), 0.4, 1e-3);
  EXPECT_NEAR(shares.at(2), 0.4, 1e-3);
}

TEST(SamplingTest, HalfTheTemperatureSquaresProbabilities) {
  const auto shares = Shares({0.5, 1.0, 0});
  EXPECT_NEAR(shares.at(0), 0.01 / 0.34, 1e-3);
  EXPECT_NEAR(shares.at(1), 0.16 / 0.34, 1e-3);
}

TEST(SamplingTest, TopKKeepsTheLikeliest) {
  const auto shares = Shares({1.0, 1.0, 2});
  EXPECT_EQ(shares.count(0), 0U);
  EXPECT_EQ(shares.count(3), 0U);
  EXPECT_NEAR(shares.at(1), 0.5, 1e-3);
}

TEST(SamplingTest, TopPKeepsTheTokenThatReachesIt) {
  const auto half = Shares({1.0, 0.5, 0});
  EXPECT_EQ(half.size(), 2U);
  EXPECT_NEAR(half.at(2), 0.5, 1e-3);
  EXPECT_EQ(Shares({1.0, 0.3, 0}).size(), 1U);
}

TEST(SamplingTest, TextEndsAtTheFirstOfEachStop) {
  const std::vector<std::string> stops = {"\n\n", "Q:"};
  EXPECT_EQ(CutAtStops("a Q: b\n\nc", stops), "a ");
  EXPECT_EQ(CutAtStops("a\n\nb", stops), "a");
  EXPECT_EQ(CutAtStops("abc", stops), "abc");
}

}  // namespace
}  // namespace breakeven
