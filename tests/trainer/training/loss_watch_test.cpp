// Pure.
#include "trainer/loss_watch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "comm/base/random.h"

namespace breakeven {
namespace {

double Noise(uint64_t i) { return RandomUniform(/*seed=*/1, /*stream=*/2, i) - 0.5; }

TEST(LossWatch, AFallingNoisyLossHasNoSpikes) {
  LossWatch watch({}, {});
  for (uint64_t step = 0; step < 2000; ++step) {
    const double loss = 2 + 8 * std::exp(-static_cast<double>(step) / 300) + Noise(step);
    EXPECT_FALSE(watch.Look(loss).has_value()) << "step " << step;
  }
  EXPECT_EQ(watch.recent().size(), 64u);
}

TEST(LossWatch, ASpikeIsFoundAndNotNoted) {
  LossWatch watch({}, {});
  for (uint64_t step = 0; step < 100; ++step) watch.Look(2 + 0.2 * Noise(step));
  const std::vector<double> before = watch.recent();
  const auto deviations = watch.Look(4);
  ASSERT_TRUE(deviations.has_value());
  EXPECT_NEAR(*deviations, 20, 1) << "a twentieth of the mean is the least deviation";
  EXPECT_EQ(watch.recent(), before);
  EXPECT_TRUE(watch.Look(4).has_value()) << "and it does not get used to them";
  EXPECT_FALSE(watch.Look(2.5).has_value());
  EXPECT_FALSE(watch.Look(0.1).has_value()) << "a low loss is none";
}

TEST(LossWatch, NothingIsJudgedFromFewLossesOrNone) {
  LossWatch watch({}, {});
  for (int step = 0; step < 16; ++step)
    EXPECT_FALSE(watch.Look(step % 2 == 0 ? 1 : 1000).has_value());
  LossWatch other({}, {});
  for (int step = 0; step < 50; ++step) other.Look(1);
  EXPECT_FALSE(other.Look(std::numeric_limits<double>::quiet_NaN()).has_value());
  EXPECT_FALSE(other.Look(std::numeric_limits<double>::infinity()).has_value());
  LossSpikeConfig off;
  off.action = "off";
  LossWatch silent(off, {});
  for (int step = 0; step < 50; ++step) silent.Look(1);
  EXPECT_FALSE(silent.Look(100).has_value());
}

TEST(LossWatch, GoesOnFromWhatWasNoted) {
  LossWatch first({}, {});
  for (uint64_t step = 0; step < 40; ++step) first.Look(3 + Noise(step));
  LossWatch second({}, first.recent());
  EXPECT_EQ(first.Look(20), second.Look(20));
}

}  // namespace
}  // namespace breakeven
