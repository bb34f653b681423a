// Pure.
#include "trainer/training_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "comm/base/error.h"
#include "trainer/config_fingerprint.h"
#include "trainer/process_resources.h"

namespace breakeven {
namespace {

using testing::HasSubstr;

TrainConfig Good() {
  TrainConfig config;
  config.model.path = "model";
  config.data = "train.h5";
  config.output = "run";
  config.batching.global_batch.examples = 16;
  return config;
}

TEST(TrainConfig, GoodOnePasses) { EXPECT_NO_THROW(Good().Validate()); }

TEST(TrainConfig, EveryRuleNamesItsKeys) {
  struct Case {
    std::function<void(TrainConfig&)> spoil;
    const char* says;
  };
  const Case cases[] = {
      {[](TrainConfig& c) { c.model.path = ""; }, "model.path"},
      {[](TrainConfig& c) { c.model.config = "config.json"; }, "model.config"},
      {[](TrainConfig& c) { c.data = ""; }, "data:"},
      {[](TrainConfig& c) { c.output = ""; }, "output:"},
      {[](TrainConfig& c) { c.resume = ""; }, "resume:"},
      {[](TrainConfig& c) { c.validation.every_steps = 5; }, "validation.every_steps"},
      {[](TrainConfig& c) { c.validation.early_stopping_patience = 2; },
       "validation.early_stopping_patience"},
      {[](TrainConfig& c) {
         c.max_steps = 10;
         c.schedule.warmup_steps = 11;
       },
       "schedule.warmup_steps"},
      {[](TrainConfig& c) {
         c.schedule.kind = "warmup_stable_decay";
         c.schedule.warmup_ratio = 0.7;
         c.schedule.decay_ratio = 0.5;
       },
       "schedule.decay_ratio"},
      {[](TrainConfig& c) {
         c.schedule.kind = "warmup_stable_decay";
         c.max_steps = 10;
         c.schedule.warmup_steps = 6;
         c.schedule.decay_ratio = 0.5;
       },
       "schedule.warmup_steps: 6 are together more"},
      {[](TrainConfig& c) { c.batching.global_batch.tokens = 100; }, "global_batch"},
      {[](TrainConfig& c) {  // a checkpoint without tokenizer cannot be scored
         c.model = {"", "config.json", ""};
         c.prompt_eval.emplace();
         c.prompt_eval->task.name = "task";
         c.prompt_eval->task.splits["dev"].path = "dev.jsonl";
         c.prompt_eval->task.doc_to_text = "{{ q }}";
         c.prompt_eval->task.doc_to_target = "{{ a }}";
         c.prompt_eval->task.doc_to_choice = {"yes", "no"};
       },
       "model.tokenizer: empty"},
  };
  for (const Case& c : cases) {
    TrainConfig config = Good();
    c.spoil(config);
    try {
      config.Validate();
      ADD_FAILURE() << "no error where " << c.says << " is wrong";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_THAT(error.what(), HasSubstr(c.says));
    }
  }
}

TEST(ScheduleConfig, WarmUpAndDecayMayFillAllSteps) {
  ScheduleConfig schedule;
  schedule.kind = "warmup_stable_decay";
  schedule.decay_ratio = 0.1;
  schedule.warmup_steps = 27;
  EXPECT_NO_THROW(schedule.CheckSteps(30));
  schedule.warmup_steps = 28;
  EXPECT_THROW(schedule.CheckSteps(30), Error);
  schedule.kind = "linear";
  EXPECT_NO_THROW(schedule.CheckSteps(30)) << "decay_ratio means nothing here";
}

TEST(ConfigFingerprint, PathsAndThreadsDoNotCountWhatLearnsDoes) {
  const std::string base = ConfigFingerprint(Good());
  TrainConfig config = Good();
  config.output = "elsewhere";
  config.data = "other/train.h5";
  config.threads = 7;
  config.log_every_steps = 3;
  config.checkpoint.keep_last = 9;
  config.prompt_eval.emplace();
  EXPECT_EQ(ConfigFingerprint(config), base);
  config = Good();
  config.optimizer.learning_rate = 1e-4;
  EXPECT_NE(ConfigFingerprint(config), base);
  config = Good();
  config.schedule.kind = "cosine";
  EXPECT_NE(ConfigFingerprint(config), base);
}

TEST(SettingsFingerprint, AllThatLearnsButTheNumberOfSteps) {
  const std::string base = SettingsFingerprint(Good());
  TrainConfig config = Good();
  config.max_steps = 200;
  config.epochs = 3;
  EXPECT_EQ(SettingsFingerprint(config), base);
  EXPECT_NE(ConfigFingerprint(config), ConfigFingerprint(Good()));
  config.optimizer.learning_rate = 1e-4;
  EXPECT_NE(SettingsFingerprint(config), base);
}

TEST(PlanFingerprint, OnlyWhatDecidesTheExamplesOfAStep) {
  const std::string base = PlanFingerprint(Good());
  TrainConfig config = Good();
  config.batching.micro_batch_tokens = 17;
  config.optimizer.learning_rate = 1;
  EXPECT_EQ(PlanFingerprint(config), base);
  config.batching.global_batch.examples = 8;
  EXPECT_NE(PlanFingerprint(config), base);
  config = Good();
  config.seed = 1;
  EXPECT_NE(PlanFingerprint(config), base);
}

TEST(DefaultThreads, DividesAMaskAmongTheRanksThatShareIt) {
  const std::vector<RankPlace> places = {{"a", "0-7", 8}, {"a", "0-7", 8}, {"a", "0-7", 8},
                                         {"b", "0-3", 4}, {"c", "0", 1},   {"c", "0", 1}};
  EXPECT_EQ(DefaultThreads(places, 0), 2);
  EXPECT_EQ(DefaultThreads(places, 3), 4);
  EXPECT_EQ(DefaultThreads(places, 4), 1) << "never less than one";
}

TEST(RankThreads, AreThoseConfiguredElseTheShare) {
  const std::vector<RankPlace> places = {{"a", "0-7", 8}, {"a", "0-7", 8}};
  EXPECT_EQ(RankThreads(7, places, 1), 7);
  EXPECT_EQ(RankThreads(0, places, 1), 4);
}

TEST(Memory, IsRead) {
  EXPECT_GT(PeakMemoryBytes(), int64_t{1} << 20);
  EXPECT_GT(AvailableMemoryBytes(), int64_t{1} << 20);
}

}  // namespace
}  // namespace breakeven
