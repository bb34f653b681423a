// Pure.
#include "trainer/block_arena.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "comm/base/error.h"

namespace breakeven {
namespace {

constexpr size_t kMega = size_t{1} << 20;

TEST(BlockArenaTest, AFreedBlockIsTheNextOneOfItsSize) {
  BlockArena arena(64 * kMega);
  void* first = arena.Take(3 * kMega);
  void* second = arena.Take(kMega);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0u);
  EXPECT_EQ(arena.used_bytes(), 4 * kMega);
  arena.Give(first);
  EXPECT_EQ(arena.used_bytes(), kMega);
  EXPECT_EQ(arena.Take(3 * kMega), first);
  EXPECT_EQ(arena.reserved_bytes(), 4 * kMega);
  arena.Give(second);
}

TEST(BlockArenaTest, NeighboursJoinAndTheSmallestFitIsTaken) {
  BlockArena arena(64 * kMega);
  std::vector<void*> blocks;
  for (size_t mega : {4, 1, 2, 1, 1}) blocks.push_back(arena.Take(mega * kMega));
  arena.Give(blocks[0]);
  arena.Give(blocks[2]);
  EXPECT_EQ(arena.Take(2 * kMega), blocks[2]);  // not the first 2 of the 4
  arena.Give(blocks[1]);
  EXPECT_EQ(arena.Take(5 * kMega), blocks[0]);  // 4 and 1 in one
  EXPECT_EQ(arena.reserved_bytes(), 9 * kMega);
}

TEST(BlockArenaTest, ABlockAtTheEndGrowsInsteadOfALargerOneBehindIt) {
  BlockArena arena(64 * kMega);
  void* kept = arena.Take(kMega);
  void* last = arena.Take(2 * kMega);
  arena.Give(last);
  EXPECT_EQ(arena.Take(8 * kMega), last);
  EXPECT_EQ(arena.reserved_bytes(), 9 * kMega);
  arena.Give(kept);
}

TEST(BlockArenaTest, FullGivesNullAndAForeignBlockIsRefused) {
  BlockArena arena(4 * kMega);
  EXPECT_EQ(arena.Take(5 * kMega), nullptr);
  void* all = arena.Take(4 * kMega);
  EXPECT_NE(all, nullptr);
  EXPECT_EQ(arena.Take(1), nullptr);
  int elsewhere = 0;
  EXPECT_FALSE(arena.Owns(&elsewhere));
  EXPECT_THROW(arena.Give(&elsewhere), Error);
  arena.Give(all);
  EXPECT_THROW(arena.Give(all), Error);
}

TEST(BlockArenaTest, BlocksNeverOverlapWhateverTheOrder) {
  BlockArena arena(256 * kMega);
  std::mt19937 random(1);
  struct Block {
    unsigned char* data;
    size_t bytes;
    unsigned char mark;
  };
  std::vector<Block> live;
  for (int i = 0; i < 4000; ++i) {
    if (live.size() > 40 || (!live.empty() && random() % 2 == 0)) {
      std::swap(live[random() % live.size()], live.back());
      const Block block = live.back();
      live.pop_back();
      ASSERT_TRUE(std::all_of(block.data, block.data + block.bytes,
                              [&](unsigned char c) { return c == block.mark; }))
          << "after " << i << " steps";
      arena.Give(block.data);
    } else {
      const size_t bytes = 1 + random() % 20000;
      auto* data = static_cast<unsigned char*>(arena.Take(bytes));
      ASSERT_NE(data, nullptr);
      const auto mark = static_cast<unsigned char>(random());
      std::fill_n(data, bytes, mark);
      live.push_back({data, bytes, mark});
    }
  }
  for (const Block& block : live) arena.Give(block.data);
  EXPECT_EQ(arena.used_bytes(), 0u);
  EXPECT_LT(arena.reserved_bytes(), 2 * kMega) << "41 blocks of at most 20,000 bytes";
}

}  // namespace
}  // namespace breakeven
