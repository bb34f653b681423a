// Pure.
#include "trainer/prompt_eval/shared_starts.h"

#include <gtest/gtest.h>

#include <numeric>
#include <span>
#include <vector>

namespace breakeven {
namespace {

// What is found among `num_lists` that begin with the same `num_tokens` and go on each with a token of its own.
std::vector<SharedStart> StartsOf(int64_t num_lists, int64_t num_tokens) {
  std::vector<std::vector<int32_t>> lists;
  for (int64_t i = 0; i < num_lists; ++i) {
    std::vector<int32_t>& list = lists.emplace_back(static_cast<size_t>(num_tokens));
    std::iota(list.begin(), list.end(), 1);
    list.push_back(static_cast<int32_t>(1000 + i));
  }
  const std::vector<std::span<const int32_t>> asked(lists.begin(), lists.end());
  return FindSharedStarts(asked, num_lists * (num_tokens + 1));
}

TEST(SharedStartsTest, WhatTheConstantsSayIsTheLeastThatIsFound) {
  const std::vector<SharedStart> found = StartsOf(kMinSharedMembers, kMinSharedTokens);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(std::ssize(found[0].members), kMinSharedMembers);
  EXPECT_EQ(found[0].num_tokens, kMinSharedTokens);
  EXPECT_TRUE(StartsOf(kMinSharedMembers - 1, kMinSharedTokens).empty());
  EXPECT_TRUE(StartsOf(kMinSharedMembers, kMinSharedTokens - 1).empty());
}

}  // namespace
}  // namespace breakeven
