// Pure.
#include "trainer/wait_split.h"

#include <gtest/gtest.h>

#include <vector>

#include "comm/world.h"

namespace breakeven {
namespace {

TEST(SplitWaits, TheLastToComeWaitsForNobody) {
  RunThreadWorld(2, [](World& world) {
    // Collective 0: rank 1 is late by 4 s; collective 1: rank 0 by 1 s. Each costs 0.5 s.
    const bool first = world.is_root();
    std::vector<StepWaits> steps(2);
    steps[0] = {.collectives = {first ? 4.5 : 0.5, first ? 0.5 : 1.5},
                .input = first ? 0.25 : 0.75};
    steps[1] = {.collectives = {0.125}, .input = 0};
    const std::vector<WaitSplit> splits = SplitWaits(*world.control, steps);
    ASSERT_EQ(splits.size(), 2u);
    EXPECT_DOUBLE_EQ(splits[0].exposed_communication, 1.0);
    EXPECT_DOUBLE_EQ(splits[0].skew, (4.0 + 1.0) / 2);
    EXPECT_DOUBLE_EQ(splits[0].input, 0.5);
    EXPECT_DOUBLE_EQ(splits[1].exposed_communication, 0.125);
    EXPECT_DOUBLE_EQ(splits[1].skew, 0);
    EXPECT_EQ(splits[0].latest_rank, 1) << "2 s in both against 5 s";
    EXPECT_EQ(splits[1].latest_rank, 0) << "of equals the first";
  });
}

TEST(SplitWaits, AloneThereIsNoSkew) {
  World world = MakeSingleWorld();
  const std::vector<WaitSplit> splits =
      SplitWaits(*world.control, {{.collectives = {0.5, 0.25}, .input = 2}, {}});
  EXPECT_DOUBLE_EQ(splits[0].exposed_communication, 0.75);
  EXPECT_EQ(splits[0].skew, 0);
  EXPECT_DOUBLE_EQ(splits[0].input, 2);
  EXPECT_EQ(splits[1].exposed_communication, 0);
  EXPECT_TRUE(SplitWaits(*world.control, {}).empty());
}

}  // namespace
}  // namespace breakeven
