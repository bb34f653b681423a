#include "data_pipeline/micro_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/data_pipeline/dataset_fixture.h"

namespace breakeven {
namespace {

using ::testing::ElementsAre;

struct Owned {
  explicit Owned(int64_t count)
      : numbers(3 * static_cast<size_t>(count), -7), weights(static_cast<size_t>(count), -7.0f) {
    const auto n = static_cast<size_t>(count);
    const std::span<int64_t> all(numbers);
    batch.tokens = all.subspan(0, n);
    batch.positions = all.subspan(n, n);
    batch.targets = all.subspan(2 * n, n);
    batch.loss_weight = weights;
  }
  std::vector<int64_t> numbers;
  std::vector<float> weights;
  MicroBatch batch;
};

class FillMicroBatchTest : public testing::Test {
 protected:
  void Write(const std::vector<TokenExample>& examples) {
    TokenDatasetInfo info = MakeInfo(1000);
    WriteTokenDataset(folder_ / "x.h5", info, examples);
    dataset_ = TokenDataset::Open(folder_ / "x.h5");
  }
  const TempFolder folder_;
  std::unique_ptr<TokenDataset> dataset_;
};

TEST_F(FillMicroBatchTest, LaysSegmentsEndToEndAndShiftsTargets) {
  Write({{{5, 6, 7}, {{0, 3}}, 1, 0},  // all of it: position 0 has no predictor
         {{8}, {{0, 1}}, 2, 0},        // nothing to predict
         {{10, 11, 12, 13, 14}, {{1, 2}, {4, 5}}, 3, 0}});
  const std::vector<int64_t> examples = {2, 1, 0};
  Owned owned(CountTokens(*dataset_, examples));
  FillMicroBatch(*dataset_, examples, owned.batch);
  EXPECT_THAT(owned.batch.tokens, ElementsAre(10, 11, 12, 13, 14, 8, 5, 6, 7));
  EXPECT_THAT(owned.batch.positions, ElementsAre(0, 1, 2, 3, 4, 0, 0, 1, 2));
  EXPECT_THAT(owned.batch.targets, ElementsAre(11, 0, 0, 14, 0, 0, 6, 7, 0));
  EXPECT_THAT(owned.batch.loss_weight, ElementsAre(1, 0, 0, 1, 0, 0, 1, 1, 0));
  EXPECT_THAT(owned.batch.segment_starts, ElementsAre(0, 5, 6, 9));
  EXPECT_EQ(dataset_->example_targets(0), 2);
  EXPECT_EQ(dataset_->example_targets(1), 0);
  EXPECT_EQ(dataset_->example_targets(2), 2);
}

TEST_F(FillMicroBatchTest, AnEmptyMicroBatchHasNoSegments) {
  Write({{{5, 6, 7}, {{1, 3}}, 1, 0}});
  Owned owned(0);
  FillMicroBatch(*dataset_, {}, owned.batch);
  EXPECT_THAT(owned.batch.segment_starts, ElementsAre(0));
  EXPECT_TRUE(owned.batch.tokens.empty());
}

TEST_F(FillMicroBatchTest, TailsBehindTheLossGo) {
  Write({{{5, 6, 7}, {{0, 3}}, 1, 0},
         {{8}, {{0, 1}}, 2, 0},  // nothing to predict
         {{10, 11, 12, 13, 14}, {{1, 2}, {3, 4}}, 3, 0}});
  const std::vector<int64_t> examples = {2, 1, 0};
  Owned owned(CountTokens(*dataset_, examples));
  FillMicroBatch(*dataset_, examples, owned.batch);
  for (int times = 1; times <= 2; ++times) {  // the second finds nothing to drop
    DropTails(owned.batch);
    EXPECT_THAT(owned.batch.tokens, ElementsAre(10, 11, 12, 5, 6));
    EXPECT_THAT(owned.batch.positions, ElementsAre(0, 1, 2, 0, 1));
    EXPECT_THAT(owned.batch.targets, ElementsAre(11, 0, 13, 6, 7));
    EXPECT_THAT(owned.batch.loss_weight, ElementsAre(1, 0, 1, 1, 1));
    EXPECT_THAT(owned.batch.segment_starts, ElementsAre(0, 3, 5));
  }
}

TEST_F(FillMicroBatchTest, WeightsSumToTheCountOfTargets) {
  const auto examples = MakeExamples(200, 60, 1000);
  Write(examples);
  std::vector<int64_t> all(200);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int64_t>(i);
  Owned owned(CountTokens(*dataset_, all));
  FillMicroBatch(*dataset_, all, owned.batch);
  int64_t rows = 0;
  for (const float weight : owned.weights) rows += weight == 1.0f ? 1 : 0;
  EXPECT_EQ(rows, dataset_->num_targets());
}

}  // namespace
}  // namespace breakeven
