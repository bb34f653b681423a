#include "comm/base/timing.h"

#include <gtest/gtest.h>

namespace breakeven {
namespace {

TEST(Timing, IsTheMedianAndTheQuartiles) {
  const Timing timing = SummariseSeconds({5, 1, 4, 2, 3}, 2);
  EXPECT_EQ(timing.median, 3);
  EXPECT_EQ(timing.lower_quartile, 2);
  EXPECT_EQ(timing.upper_quartile, 4);
  EXPECT_EQ(timing.min, 1);
  EXPECT_EQ(timing.max, 5);
  EXPECT_EQ(timing.repeats, 5);
  EXPECT_EQ(timing.discarded, 2);
  EXPECT_EQ(SummariseSeconds({1, 2}, 0).median, 1.5);
  EXPECT_EQ(SummariseSeconds({}, 0).median, 0);
}

TEST(Timing, IsWrittenInUnitsThatFit) {
  EXPECT_EQ(FormatShortTime(1.234e-9), "1.23 ns");
  EXPECT_EQ(FormatShortTime(9.996e-7), "1.00 us");
  EXPECT_EQ(FormatShortTime(45.63e-3), "45.6 ms");
  EXPECT_EQ(FormatShortTime(123.4), "123 s");
  EXPECT_EQ(FormatBytes(8), "8 B");
  EXPECT_EQ(FormatBytes(64 << 10), "64 KiB");
  EXPECT_EQ(FormatBytes(1000000), "1000000 B");
  EXPECT_EQ(FormatBytes(int64_t{1} << 30), "1 GiB");
}

}  // namespace
}  // namespace breakeven
