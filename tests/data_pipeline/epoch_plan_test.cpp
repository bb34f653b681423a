#include "data_pipeline/epoch_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "comm/base/error.h"
#include "comm/base/random.h"

namespace breakeven {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kSeed = 11;

ExampleSizes Ragged(int64_t count, int64_t max_tokens = 300) {
  ExampleSizes sizes;
  sizes.num_examples = count;
  sizes.num_tokens = [max_tokens](int64_t i) {
    return 1 + static_cast<int64_t>(RandomBits(5, 1, static_cast<uint64_t>(i)) %
                                    static_cast<uint64_t>(max_tokens));
  };
  sizes.num_targets = [tokens = sizes.num_tokens](int64_t i) { return tokens(i) / 3; };
  return sizes;
}

BatchingConfig ByExamples(int64_t examples) {
  BatchingConfig config;
  config.global_batch.examples = examples;
  config.micro_batch_tokens = 512;
  return config;
}

BatchingConfig ByTokens(int64_t tokens) {
  BatchingConfig config;
  config.global_batch.tokens = tokens;
  config.micro_batch_tokens = 512;
  return config;
}

std::vector<StepPlan> Epoch(const EpochPlanner& planner, int64_t epoch) {
  std::vector<StepPlan> steps;
  for (int64_t step = 0; step < planner.num_steps(epoch); ++step) {
    steps.push_back(planner.Plan(epoch, step));
  }
  return steps;
}

// All examples of a plan's micro-batches, sorted.
std::vector<int64_t> Dealt(const StepPlan& plan) {
  std::vector<int64_t> examples;
  for (const auto& rank : plan.micro_batches) {
    for (const auto& micro_batch : rank) {
      examples.insert(examples.end(), micro_batch.begin(), micro_batch.end());
    }
  }
  std::sort(examples.begin(), examples.end());
  return examples;
}

TEST(EpochPlanner, EveryExampleExactlyOnceAnEpoch) {
  for (const BatchingConfig& config : {ByExamples(16), ByTokens(2000), ByExamples(1000),
                                       ByTokens(1), ByTokens(1'000'000), ByExamples(1)}) {
    for (const int64_t count : {int64_t{1}, int64_t{2}, int64_t{97}, int64_t{400}}) {
      const EpochPlanner planner(Ragged(count), config, kSeed, 3);
      for (const int64_t epoch : {0, 1, 5}) {
        std::vector<int64_t> seen;
        std::vector<int64_t> dealt;
        for (const StepPlan& plan : Epoch(planner, epoch)) {
          seen.insert(seen.end(), plan.examples.begin(), plan.examples.end());
          const auto of_step = Dealt(plan);
          dealt.insert(dealt.end(), of_step.begin(), of_step.end());
        }
        std::vector<int64_t> all(static_cast<size_t>(count));
        std::iota(all.begin(), all.end(), 0);
        std::sort(seen.begin(), seen.end());
        std::sort(dealt.begin(), dealt.end());
        ASSERT_EQ(seen, all) << "epoch " << epoch << " of " << count << " examples";
        ASSERT_EQ(dealt, all) << "epoch " << epoch << " of " << count << " examples";
      }
    }
  }
}

TEST(EpochPlanner, StepsAreCutAsConfigured) {
  const ExampleSizes sizes = Ragged(400);
  for (const StepPlan& plan : Epoch(EpochPlanner(sizes, ByExamples(16), kSeed, 2), 0)) {
    EXPECT_EQ(plan.examples.size(), 16u);
  }
  const auto last = EpochPlanner(Ragged(401), ByExamples(16), kSeed, 2).Plan(0, 25);
  EXPECT_EQ(last.examples.size(), 1u);
  const EpochPlanner by_tokens(sizes, ByTokens(2000), kSeed, 2);
  const auto steps = Epoch(by_tokens, 0);
  for (size_t i = 0; i < steps.size(); ++i) {
    int64_t tokens = 0;
    int64_t targets = 0;
    for (const int64_t example : steps[i].examples) {
      tokens += sizes.num_tokens(example);
      targets += sizes.num_targets(example);
    }
    EXPECT_EQ(steps[i].global_tokens, tokens);
    EXPECT_EQ(steps[i].global_target_tokens, targets);
    EXPECT_LE(tokens, 2000);
    // Greedy: the next example would not have fitted.
    if (i + 1 < steps.size()) {
      EXPECT_GT(tokens + sizes.num_tokens(steps[i + 1].examples[0]), 2000) << "step " << i;
    }
  }
}

TEST(EpochPlanner, AnExampleLargerThanTheStepStandsAlone) {
  const EpochPlanner planner(Ragged(50), ByTokens(1), kSeed, 2);
  ASSERT_EQ(planner.num_steps(0), 50);
  for (const StepPlan& plan : Epoch(planner, 0)) EXPECT_EQ(plan.examples.size(), 1u);
}

TEST(EpochPlanner, StepsDependOnNeitherRanksNorMicroBatches) {
  for (BatchingConfig config : {ByExamples(10), ByTokens(1500)}) {
    const auto reference = Epoch(EpochPlanner(Ragged(123), config, kSeed, 1), 2);
    for (int world_size = 1; world_size <= 7; ++world_size) {
      for (const int64_t micro_batch_tokens : {1, 100, 4096}) {
        for (const int64_t micro_batch_examples : {0, 1, 3}) {
          config.micro_batch_tokens = micro_batch_tokens;
          config.micro_batch_examples = micro_batch_examples;
          const EpochPlanner planner(Ragged(123), config, kSeed, world_size);
          const auto steps = Epoch(planner, 2);
          ASSERT_EQ(steps.size(), reference.size());
          for (size_t i = 0; i < steps.size(); ++i) {
            ASSERT_EQ(steps[i].examples, reference[i].examples);
            ASSERT_EQ(steps[i].global_tokens, reference[i].global_tokens);
            ASSERT_EQ(steps[i].global_target_tokens, reference[i].global_target_tokens);
            ASSERT_EQ(steps[i].micro_batches.size(), static_cast<size_t>(world_size));
            ASSERT_EQ(Dealt(steps[i]), Dealt(reference[i]));
          }
        }
      }
    }
  }
}

TEST(EpochPlanner, MicroBatchesKeepTheirBounds) {
  const ExampleSizes sizes = Ragged(200);
  BatchingConfig config = ByExamples(40);
  config.micro_batch_examples = 5;
  for (const StepPlan& plan : Epoch(EpochPlanner(sizes, config, kSeed, 3), 0)) {
    for (const auto& rank : plan.micro_batches) {
      ASSERT_FALSE(rank.empty());
      for (const auto& micro_batch : rank) {
        int64_t tokens = 0;
        for (const int64_t example : micro_batch) tokens += sizes.num_tokens(example);
        EXPECT_LE(micro_batch.size(), 5u);
        EXPECT_TRUE(tokens <= 512 || micro_batch.size() == 1) << tokens;
      }
    }
  }
}

TEST(EpochPlanner, FewerExamplesThanRanksGiveEmptyMicroBatches) {
  const EpochPlanner planner(Ragged(3), ByExamples(2), kSeed, 5);
  ASSERT_EQ(planner.num_steps(0), 2);
  for (const StepPlan& plan : Epoch(planner, 0)) {
    size_t empty = 0;
    for (const auto& rank : plan.micro_batches) {
      ASSERT_GE(rank.size(), 1u);
      empty += rank.size() == 1 && rank[0].empty() ? 1 : 0;
    }
    EXPECT_EQ(empty, 5 - plan.examples.size());
  }
}

TEST(EpochPlanner, RanksGetEqualCost) {
  const ExampleSizes sizes = Ragged(600);
  for (const StepPlan& plan : Epoch(EpochPlanner(sizes, ByExamples(100), kSeed, 4), 0)) {
    std::vector<int64_t> loads;
    for (const auto& rank : plan.micro_batches) {
      int64_t tokens = 0;
      for (const auto& micro_batch : rank) {
        for (const int64_t example : micro_batch) tokens += sizes.num_tokens(example);
      }
      loads.push_back(tokens);
    }
    const auto [least, most] = std::minmax_element(loads.begin(), loads.end());
    EXPECT_LT(static_cast<double>(*most), 1.05 * static_cast<double>(*least));
  }
}

TEST(EpochPlanner, AnyStepCanBeAskedForInAnyOrder) {
  const BatchingConfig config = ByTokens(400);
  const EpochPlanner planner(Ragged(1000), config, kSeed, 2);
  const auto steps = Epoch(planner, 1);
  ASSERT_GT(steps.size(), 300u);  // several strides of remembered cuts
  const EpochPlanner fresh(Ragged(1000), config, kSeed, 2);
  for (const size_t step : {steps.size() - 1, size_t{0}, size_t{64}, size_t{63}, size_t{129}}) {
    const StepPlan plan = fresh.Plan(1, static_cast<int64_t>(step));
    EXPECT_EQ(plan.examples, steps[step].examples) << "step " << step;
    EXPECT_EQ(plan.micro_batches, steps[step].micro_batches) << "step " << step;
  }
}

TEST(EpochPlanner, EpochsAndSeedsDifferAndNoShuffleKeepsTheOrder) {
  const EpochPlanner planner(Ragged(100), ByExamples(100), kSeed, 1);
  const EpochPlanner other(Ragged(100), ByExamples(100), kSeed + 1, 1);
  EXPECT_NE(planner.Plan(0, 0).examples, planner.Plan(1, 0).examples);
  EXPECT_NE(planner.Plan(0, 0).examples, other.Plan(0, 0).examples);
  BatchingConfig config = ByExamples(100);
  config.shuffle = false;
  std::vector<int64_t> in_order(100);
  std::iota(in_order.begin(), in_order.end(), 0);
  EXPECT_EQ(EpochPlanner(Ragged(100), config, kSeed, 1).Plan(3, 0).examples, in_order);
}

TEST(EpochPlanner, RefusesWhatCannotBePlanned) {
  EXPECT_THROW(EpochPlanner(Ragged(0), ByExamples(1), 0, 1), Error);
  BatchingConfig both = ByExamples(1);
  both.global_batch.tokens = 1;
  EXPECT_THROW(EpochPlanner(Ragged(1), both, 0, 1), Error);
  EXPECT_THROW(EpochPlanner(Ragged(1), BatchingConfig{}, 0, 1), Error);
  try {
    both.Validate();
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kUsage);
    EXPECT_THAT(e.what(), HasSubstr("batching.global_batch"));
  }
}

TEST(PlanOnePass, CutsAllExamplesInOrder) {
  const ExampleSizes sizes = Ragged(150, 700);
  const auto micro_batches = PlanOnePass(sizes, 512);
  int64_t next = 0;
  for (const auto& micro_batch : micro_batches) {
    int64_t tokens = 0;
    for (const int64_t example : micro_batch) {
      EXPECT_EQ(example, next++);
      tokens += sizes.num_tokens(example);
    }
    EXPECT_TRUE(tokens <= 512 || micro_batch.size() == 1) << tokens;
  }
  EXPECT_EQ(next, 150);
  EXPECT_TRUE(PlanOnePass(Ragged(0), 512).empty());
}

}  // namespace
}  // namespace breakeven
