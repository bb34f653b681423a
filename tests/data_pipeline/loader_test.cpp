#include "data_pipeline/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/data_pipeline/dataset_fixture.h"

namespace breakeven {
namespace {

using ::testing::HasSubstr;

class LoaderTest : public testing::Test {
 protected:
  LoaderTest() {
    TokenDatasetInfo info = MakeInfo(1000);
    WriteTokenDataset(path_, info, MakeExamples(50, 60, 1000));
    dataset_ = TokenDataset::Open(path_);
  }

  EpochPlanner Planner(int world_size) {
    ExampleSizes sizes;
    sizes.num_examples = dataset_->num_examples();
    sizes.num_tokens = [this](int64_t i) {
      ++num_planned_;
      return dataset_->example_tokens(i);
    };
    sizes.num_targets = [this](int64_t i) { return dataset_->example_targets(i); };
    BatchingConfig config;
    config.global_batch.examples = 8;
    config.micro_batch_tokens = 128;
    return {std::move(sizes), config, 3, world_size};
  }

  const TempFolder folder_;
  const std::string path_ = folder_ / "x.h5";
  std::unique_ptr<TokenDataset> dataset_;
  // Examples: a loader plans a step when it begins to fill it.
  std::atomic<int64_t> num_planned_ = 0;
};

TEST_F(LoaderTest, DeliversThePlannedStepsOverEpochs) {
  const EpochPlanner planner = Planner(2);
  ASSERT_EQ(planner.num_steps(0), 7);
  Loader loader(*dataset_, planner, {1, {0, 5}, 10, 2});
  StepCursor cursor{0, 5};
  for (int i = 0; i < 10; ++i) {
    const auto step = loader.Next();
    ASSERT_TRUE(step.has_value()) << i;
    const StepPlan expected = planner.Plan(cursor.epoch, cursor.step);
    EXPECT_EQ(step->plan.epoch, cursor.epoch);
    EXPECT_EQ(step->plan.step, cursor.step);
    EXPECT_EQ(step->plan.micro_batches, expected.micro_batches);
    ASSERT_EQ(step->micro_batches.size(), expected.micro_batches[1].size());
    for (size_t m = 0; m < step->micro_batches.size(); ++m) {
      const LoadedMicroBatch& loaded = step->micro_batches[m];
      std::vector<int64_t> tokens;
      for (const int64_t example : expected.micro_batches[1][m]) {
        const auto more = ReadExample(*dataset_, example);
        tokens.insert(tokens.end(), more.begin(), more.end());
      }
      EXPECT_THAT(loaded.batch.tokens, testing::ElementsAreArray(tokens));
      EXPECT_EQ(static_cast<const void*>(loaded.batch.tokens.data()), loaded.memory.get());
    }
    cursor = step->next;
  }
  EXPECT_EQ(cursor, (StepCursor{2, 1}));
  EXPECT_FALSE(loader.Next().has_value());
  EXPECT_FALSE(loader.Next().has_value());
}

TEST_F(LoaderTest, RanksWithoutExamplesGetAnEmptyMicroBatch) {
  const EpochPlanner planner = Planner(9);
  Loader loader(*dataset_, planner, {8, {0, 6}, 1, 1});  // the last step has 2 examples
  const auto step = loader.Next();
  ASSERT_TRUE(step.has_value());
  ASSERT_EQ(step->micro_batches.size(), 1u);
  EXPECT_TRUE(step->micro_batches[0].batch.tokens.empty());
  EXPECT_THAT(step->micro_batches[0].batch.segment_starts, testing::ElementsAre(0));
}

TEST_F(LoaderTest, FillsAheadNoFurtherThanAsked) {
  const EpochPlanner planner = Planner(1);
  LoaderOptions options;
  options.num_steps = 30;
  options.queued_steps = 2;
  Loader loader(*dataset_, planner, options);
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  // Two steps in the queue and one that waits for its place there.
  EXPECT_LE(num_planned_, 3 * 8);
  int num_steps = 0;
  while (loader.Next().has_value()) ++num_steps;
  EXPECT_EQ(num_steps, 30);
  EXPECT_GT(num_planned_, 3 * 8);
}

TEST_F(LoaderTest, AnErrorOfTheThreadReachesTheConsumer) {
  std::string bytes = ReadBytes(path_);
  const auto tokens = ReadExample(*dataset_, 0);
  dataset_ = TokenDataset::Open(path_);
  std::string first;
  for (const int64_t token : tokens) {
    first.push_back(static_cast<char>(token & 255));
    first.push_back(static_cast<char>(token >> 8));
  }
  const size_t at = bytes.find(first);
  ASSERT_NE(at, std::string::npos);
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  WriteBytes(folder_ / "bad.h5", bytes);
  const auto bad = TokenDataset::Open(folder_ / "bad.h5");
  const EpochPlanner planner = Planner(1);
  Loader loader(*bad, planner, {0, {}, 5, 2});
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(MessageOf(ErrorKind::kBadData, [&] { loader.Next(); }), HasSubstr("block 0"));
  }
}

TEST_F(LoaderTest, StopEndsAThreadThatWaits) {
  const EpochPlanner planner = Planner(1);
  Loader loader(*dataset_, planner, {0, {}, 1000000, 1});
  ASSERT_TRUE(loader.Next().has_value());
  loader.Stop();
  loader.Stop();
  EXPECT_FALSE(loader.Next().has_value());
}

}  // namespace
}  // namespace breakeven
