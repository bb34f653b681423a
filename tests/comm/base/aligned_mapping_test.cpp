#include "comm/base/aligned_mapping.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdint>

namespace breakeven {
namespace {

TEST(AlignedMapping, BeginsAtAMultipleIsZeroedAndWritableToItsLastByte) {
  for (const size_t num_bytes : {size_t{4096}, kHugePageBytes, kHugePageBytes + 4096}) {
    void* const memory = MapAligned(num_bytes, kHugePageBytes, PROT_READ | PROT_WRITE);
    ASSERT_NE(memory, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % kHugePageBytes, 0U);
    char* const bytes = static_cast<char*>(memory);
    EXPECT_EQ(bytes[0], 0);
    EXPECT_EQ(bytes[num_bytes - 1], 0);
    bytes[0] = bytes[num_bytes - 1] = 1;
    EXPECT_EQ(munmap(memory, num_bytes), 0);
  }
}

TEST(AlignedMapping, WhatTheSystemRefusesIsNull) {
  errno = 0;
  EXPECT_EQ(MapAligned(size_t{1} << 60, kHugePageBytes, PROT_NONE), nullptr);
  EXPECT_EQ(errno, ENOMEM);
}

}  // namespace
}  // namespace breakeven
