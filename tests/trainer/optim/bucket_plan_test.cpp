// Pure.
#include "trainer/optim/bucket_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/base/error.h"

namespace breakeven {
namespace {

using testing::ElementsAre;

TEST(PlanBuckets, GoesFromTheEndToTheBeginningAndCoversAll) {
  EXPECT_THAT(PlanBuckets(10, 4), ElementsAre(FlatRange{8, 10}, FlatRange{4, 8}, FlatRange{0, 4}));
  EXPECT_THAT(PlanBuckets(8, 4), ElementsAre(FlatRange{4, 8}, FlatRange{0, 4}));
  EXPECT_THAT(PlanBuckets(3, 4), ElementsAre(FlatRange{0, 3}));
  EXPECT_THAT(PlanBuckets(0, 4), ElementsAre(FlatRange{0, 0}));
}

TEST(MergeNeighbours, JoinsOnlyWhatTouches) {
  EXPECT_THAT(MergeNeighbours({{0, 2}, {2, 5}, {6, 7}, {7, 9}}),
              ElementsAre(FlatRange{0, 5}, FlatRange{6, 9}));
}

// Buckets {8,12} {4,8} {0,4}; parameter 0 spans the last two, 1 the first two, 2 the first only.
class BucketOrderTest : public testing::Test {
 protected:
  BucketOrder order_{PlanBuckets(12, 4), {{0, 6}, {6, 10}, {10, 12}}};
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
  BucketOrder order(PlanBuckets(12, 4), {{4, 6}});
  EXPECT_EQ(order.TakeReady(), 0u);
  EXPECT_EQ(order.TakeReady(), std::nullopt);
  order.MarkReady(0);
  EXPECT_EQ(order.TakeReady(), 1u);
  EXPECT_EQ(order.TakeReady(), 2u);
}

}  // namespace
}  // namespace breakeven
