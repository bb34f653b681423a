#include "comm/base/cpu_mask.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

namespace breakeven {
namespace {

// As the kernel of a machine with 5000 CPUs answers.
TEST(CpuMask, MayBeLargerThanCpuSetT) {
  const auto read = [](size_t num_bytes, cpu_set_t* set) {
    if (num_bytes * 8 < 5000) return false;
    std::memset(set, 0, num_bytes);
    std::memset(set, 0xff, 5000 / 8);
    return true;
  };
  const std::vector<bool> mask = ReadCpuMask(read);
  EXPECT_EQ(std::count(mask.begin(), mask.end(), true), 5000);
  EXPECT_TRUE(ReadCpuMask([](size_t, cpu_set_t*) { return false; }).empty());
}

}  // namespace
}  // namespace breakeven
