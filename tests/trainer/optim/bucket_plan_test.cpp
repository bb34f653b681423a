// Pure.
#include "trainer/optim/bucket_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/base/error.h"

namespace breakeven {
namespace {

using testing::ElementsAre;

std::vector<FlatRange> Even(int64_t num_elements, int64_t size) {
  return PlanBuckets(num_elements, {.largest = size, .last = size});
}

TEST(PlanBuckets, GoesFromTheEndToTheBeginningAndCoversAll) {
  EXPECT_THAT(Even(10, 4), ElementsAre(FlatRange{8, 10}, FlatRange{4, 8}, FlatRange{0, 4}));
  EXPECT_THAT(Even(8, 4), ElementsAre(FlatRange{4, 8}, FlatRange{0, 4}));
  EXPECT_THAT(Even(3, 4), ElementsAre(FlatRange{0, 3}));
  EXPECT_THAT(Even(0, 4), ElementsAre(FlatRange{0, 0}));
}

TEST(PlanBuckets, SizesFallByHalfTowardsTheLast) {
  EXPECT_THAT(PlanBuckets(40, {.largest = 12, .last = 2}),
              ElementsAre(FlatRange{38, 40}, FlatRange{26, 38}, FlatRange{14, 26}, FlatRange{6, 14},
                          FlatRange{2, 6}, FlatRange{0, 2}));
  EXPECT_THAT(PlanBuckets(10, {.largest = 4, .last = 100}),
              ElementsAre(FlatRange{8, 10}, FlatRange{4, 8}, FlatRange{0, 4}))
      << "none is larger than the largest";
}

TEST(PlanBuckets, SizesAreWholeUnits) {
  for (const FlatRange& bucket : PlanBuckets(60, {.largest = 25, .last = 1, .unit = 6})) {
    EXPECT_EQ(bucket.size() % 6, 0) << bucket.begin;
    EXPECT_LE(bucket.size(), 24);
  }
}

// Whatever the numbers: every element belongs to one rank, ranks have as many, and compact places
// follow each other.
TEST(Shards, DealEverythingOnce) {
  for (const int world_size : {1, 2, 3, 5, 8}) {
    const int64_t num_elements = 77 * world_size;
    const std::vector<FlatRange> buckets = PlanBuckets(
        num_elements, {.largest = 8 * world_size, .last = world_size, .unit = world_size});
    std::vector<int> owners(static_cast<size_t>(num_elements), 0);
    for (int rank = 0; rank < world_size; ++rank) {
      const std::vector<FlatRange> shard = ShardRanges(buckets, rank, world_size);
      EXPECT_EQ(CountElements(shard), 77) << world_size;
      int64_t last_end = -1;
      for (const FlatRange& range : shard) {
        EXPECT_GT(range.begin, last_end) << "ascending, joined";
        last_end = range.end;
        for (int64_t i = range.begin; i < range.end; ++i) ++owners[static_cast<size_t>(i)];
      }
      int64_t compact = 0;
      for (const ShardPiece& piece : IntersectShard(shard, {{0, num_elements}})) {
        EXPECT_EQ(piece.compact_begin, compact);
        compact += piece.range.size();
      }
      EXPECT_EQ(compact, 77);
    }
    EXPECT_THAT(owners, testing::Each(1)) << world_size;
  }
}

TEST(Shards, IntersectionKeepsBothRangesAndPlaces) {
  // The shard holds 2…5 and 8…12 at compact places 0…3 and 3…7.
  const std::vector<ShardPiece> pieces =
      IntersectShard({{2, 5}, {8, 12}}, {{0, 3}, {4, 9}, {11, 20}});
  ASSERT_EQ(pieces.size(), 4u);
  EXPECT_EQ(pieces[0].range, (FlatRange{2, 3}));
  EXPECT_EQ(pieces[0].compact_begin, 0);
  EXPECT_EQ(pieces[1].range, (FlatRange{4, 5}));
  EXPECT_EQ(pieces[1].compact_begin, 2);
  EXPECT_EQ(pieces[2].range, (FlatRange{8, 9}));
  EXPECT_EQ(pieces[2].compact_begin, 3);
  EXPECT_EQ(pieces[3].range, (FlatRange{11, 12}));
  EXPECT_EQ(pieces[3].compact_begin, 6);
  EXPECT_THROW(ShardOf({0, 7}, 0, 2), Error) << "parts of equal size only";
}

TEST(Complement, IsWhatIsLeft) {
  const auto rest = [](const std::vector<FlatRange>& ranges) { return Complement(ranges, 10); };
  EXPECT_EQ(rest({}), (std::vector<FlatRange>{{0, 10}}));
  EXPECT_EQ(rest({{0, 10}}), (std::vector<FlatRange>{}));
  EXPECT_EQ(rest({{0, 2}, {5, 6}}), (std::vector<FlatRange>{{2, 5}, {6, 10}}));
  EXPECT_EQ(rest({{1, 3}, {3, 10}}), (std::vector<FlatRange>{{0, 1}}));
}

TEST(MergeNeighbours, JoinsOnlyWhatTouches) {
  EXPECT_THAT(MergeNeighbours({{0, 2}, {2, 5}, {6, 7}, {7, 9}}),
              ElementsAre(FlatRange{0, 5}, FlatRange{6, 9}));
}

// Buckets {8,12} {4,8} {0,4}; parameter 0 spans the last two, 1 the first two, 2 the first only.
class BucketOrderTest : public testing::Test {
 protected:
  BucketOrder order_{Even(12, 4), {{0, 6}, {6, 10}, {10, 12}}};
};

TEST_F(BucketOrderTest, ABucketWaitsForAllOfItsParameters) {
  EXPECT_EQ(order_.TakeReady(), std::nullopt);
  order_.MarkReady(2);
  EXPECT_EQ(order_.TakeReady(), std::nullopt) << "parameter 1 is not ready";
  order_.MarkReady(1);
  EXPECT_EQ(order_.TakeReady(), 0u);
  EXPECT_EQ(order_.TakeReady(), std::nullopt) << "parameter 0 is not ready";
  order_.MarkReady(0);
  EXPECT_EQ(order_.TakeReady(), 1u);
  EXPECT_EQ(order_.TakeReady(), 2u);
  EXPECT_EQ(order_.TakeReady(), std::nullopt);
}

TEST_F(BucketOrderTest, ALaterBucketNeverOvertakes) {
  order_.MarkReady(0);  // the bucket {0,4} is complete, but two stand before it
  EXPECT_EQ(order_.TakeReady(), std::nullopt);
  order_.MarkReady(1);
  EXPECT_EQ(order_.TakeReady(), std::nullopt);
  order_.MarkReady(2);
  EXPECT_EQ(order_.TakeReady(), 0u);
  EXPECT_EQ(order_.TakeReady(), 1u);
  EXPECT_EQ(order_.TakeReady(), 2u);
}

TEST_F(BucketOrderTest, TheEndTakesWhatIsLeftInTheSameOrder) {
  order_.MarkReady(1);
  order_.MarkReady(2);
  EXPECT_EQ(order_.TakeReady(), 0u);
  EXPECT_EQ(order_.TakeNext(), 1u);
  EXPECT_EQ(order_.TakeNext(), 2u);
  EXPECT_EQ(order_.TakeNext(), std::nullopt);
  order_.Reset();
  EXPECT_EQ(order_.TakeNext(), 0u);
}

TEST_F(BucketOrderTest, ReadyTwiceIsABug) {
  order_.MarkReady(1);
  EXPECT_THROW(order_.MarkReady(1), Error);
  order_.Reset();
  EXPECT_NO_THROW(order_.MarkReady(1));
}

TEST(BucketOrder, BucketsWithoutParametersAreReady) {
  BucketOrder order(Even(12, 4), {{4, 6}});
  EXPECT_EQ(order.TakeReady(), 0u);
  EXPECT_EQ(order.TakeReady(), std::nullopt);
  order.MarkReady(0);
  EXPECT_EQ(order.TakeReady(), 1u);
  EXPECT_EQ(order.TakeReady(), 2u);
}

}  // namespace
}  // namespace breakeven
