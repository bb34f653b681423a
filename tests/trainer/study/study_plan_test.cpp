// Pure.
#include "trainer/study/study_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "comm/base/error.h"
#include "trainer/study/study_choice.h"
#include "trainer/study/study_file.h"
#include "trainer/study/study_state.h"

namespace breakeven {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Key;

StudyConfig SmallConfig() {
  StudyConfig config;
  config.task.name = "colours";
  config.task.splits = {{"train", {"train.jsonl", "auto", {}}},
                        {"dev", {"dev.jsonl", "auto", {}}},
                        {"test", {"test.jsonl", "auto", {}}}};
  config.task.doc_to_text = "{{ thing }}";
  config.task.doc_to_target = "{{ colour }}";
  config.task.doc_to_choice = {"red", "green"};
  config.model = "model";
  config.output = "run";
  config.sizes = {8, 32};
  config.seeds = {1, 2, 3};
  config.learning_rates = {1e-4, 1e-3};
  config.train.batching.global_batch.examples = 4;
  return config;
}

std::string Refusal(const StudyConfig& config) {
  try {
    config.Validate();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  return "nothing was refused";
}

TEST(StudyPlanTest, TheFirstSeedTriesEveryRateAndTheOthersFollow) {
  const StudyConfig config = SmallConfig();
  EXPECT_NO_THROW(config.Validate());
  std::vector<std::string> names;
  for (const StudyCell& cell : RateCells(config)) names.push_back(cell.name);
  EXPECT_THAT(names,
              ElementsAre("n8_lr0.0001_s1", "n8_lr0.001_s1", "n32_lr0.0001_s1", "n32_lr0.001_s1"));
  const std::map<int64_t, double> rates = {{8, 1e-3}, {32, 1e-4}};
  names.clear();
  for (const StudyCell& cell : SeedCells(config, rates)) names.push_back(cell.name);
  EXPECT_THAT(names,
              ElementsAre("n8_lr0.001_s2", "n8_lr0.001_s3", "n32_lr0.0001_s2", "n32_lr0.0001_s3"));
  EXPECT_EQ(NumCells(config), 8);
  EXPECT_EQ(ChosenCells(config, rates).size(), 6u);
}

TEST(StudyPlanTest, TheDiskHoldsOneSizesRatesAtATime) {
  StudyConfig config = SmallConfig();
  const auto copies = [&] { return DiskNeed(config, 1000) / 4000; };
  EXPECT_EQ(copies(), 5 + 6) << "5 of the 6 chosen cells while the last one trains";
  config.learning_rates = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  EXPECT_EQ(copies(), 1 + 8 + 6) << "the smaller size's chosen cell, 8 rates, the ninth trains";
  config.seeds = {1};
  EXPECT_EQ(copies(), 1 + 8 + 6);
  config.sizes = {8};
  config.learning_rates = {1};
  EXPECT_EQ(copies(), 6);
  config.train.epochs = 3;
  EXPECT_EQ(copies(), 9) << "the best one beside the newest";
  config.train.validate = false;
  EXPECT_EQ(copies(), 6);
}

TEST(StudyPlanTest, ACellTrainsTheRecipeOnItsSubset) {
  const StudyConfig config = SmallConfig();
  const TrainConfig train =
      CellTraining(config, MakeCell(8, 1e-3, 2), "d.h5", "v.h5", "run/cells/x");
  EXPECT_NO_THROW(train.Validate());
  EXPECT_EQ(train.seed, 2);
  EXPECT_EQ(train.optimizer.learning_rate, 1e-3);
  EXPECT_EQ(train.data, "d.h5");
  EXPECT_EQ(train.resume, "auto");
  EXPECT_EQ(train.validation.data, "v.h5");
  EXPECT_TRUE(train.checkpoint.keep_best);
  EXPECT_FALSE(train.force_bfloat16);
  StudyConfig forced = config;
  forced.train.precision = "bfloat16";
  forced.precision.force_bfloat16 = true;
  const TrainConfig slow = CellTraining(forced, MakeCell(8, 1e-3, 2), "d.h5", "v.h5", "x");
  EXPECT_EQ(slow.precision, "bfloat16");
  EXPECT_TRUE(slow.force_bfloat16) << "what the refusal of bfloat16 says to set";
  StudyConfig without = config;
  without.train.validate = false;
  const TrainConfig last = CellTraining(without, MakeCell(8, 1e-3, 2), "d.h5", "v.h5", "x");
  EXPECT_EQ(last.validation.data, "");
  EXPECT_FALSE(last.checkpoint.keep_best);
}

TEST(StudyPlanTest, SubsetsAreNestedAndBalanced) {
  std::vector<std::string> labels(90, "common");
  for (size_t i = 0; i < 90; i += 9) labels[i] = "rare";  // 10 of 90
  const std::vector<size_t> order = NestedOrder(labels, 7);
  EXPECT_EQ(std::set<size_t>(order.begin(), order.end()).size(), labels.size());
  int rare = 0;
  for (size_t i = 0; i < 20; ++i) rare += labels[order[i]] == "rare" ? 1 : 0;
  EXPECT_EQ(rare, 10) << "the first 20 are half and half";
  EXPECT_EQ(order, NestedOrder(labels, 7));
  EXPECT_NE(order, NestedOrder(labels, 8));
}

TEST(StudyPlanTest, LabelsThatAreAllDifferentAreShuffled) {
  std::vector<std::string> labels;
  for (int i = 0; i < 50; ++i) labels.push_back(std::to_string(i));
  const std::vector<size_t> order = NestedOrder(labels, 1);
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(std::set<size_t>(order.begin(), order.end()).size(), 50u);
}

TEST(StudyPlanTest, ChoosingAmongManyOnFewIsOptimistic) {
  EXPECT_EQ(ChoiceOptimism(1, 10), 0);
  EXPECT_NEAR(ChoiceOptimism(5, 100), 0.037,
              0.003);  // statistics of the reference: 3.8 points at 0.7
  EXPECT_GT(ChoiceOptimism(20, 100), ChoiceOptimism(5, 100));
  EXPECT_GT(ChoiceOptimism(5, 50), ChoiceOptimism(5, 100));
}

TEST(StudyPlanTest, WhatCannotBeAStudyIsRefusedByKey) {
  StudyConfig config = SmallConfig();
  config.sizes = {};
  EXPECT_THAT(Refusal(config), HasSubstr("sizes: none given"));
  config.sizes = {32, 8};
  EXPECT_THAT(Refusal(config), HasSubstr("ascending"));
  config = SmallConfig();
  config.seeds = {1, 1};
  EXPECT_THAT(Refusal(config), HasSubstr("seeds: a value stands there twice"));
  config = SmallConfig();
  config.task.splits.erase("test");
  EXPECT_THAT(Refusal(config), HasSubstr("no split 'test'"));
  config = SmallConfig();
  PromptConfig shots;
  shots.name = "shots";
  shots.num_fewshot = 2;
  shots.fewshot_split = "dev";
  config.prompts.variants = {shots};
  EXPECT_THAT(Refusal(config), HasSubstr("fewshot_split"));
  config = SmallConfig();
  PromptConfig other;
  other.doc_to_text = "otherwise {{ thing }}";
  config.prompts.variants = {other};  // both are called "default"
  EXPECT_THAT(Refusal(config), HasSubstr("asks otherwise"));
}

TEST(StudyPlanTest, ARegressionSetIsComparedDocumentByDocument) {
  StudyConfig config = SmallConfig();
  config.regression = RegressionConfig{};
  config.regression->task = config.task;
  config.regression->task.metrics = {"acc", "mcc", "calibration_error"};
  EXPECT_NO_THROW(config.Validate());
  for (const char* metric : {"mcc", "calibration_error"}) {
    config.regression->metric = metric;
    EXPECT_THAT(Refusal(config), HasSubstr("regression.metric: '" + std::string(metric) + "'"));
  }
  config.regression->metric = "";
  config.regression->task.output_type = "loglikelihood";
  config.regression->task.doc_to_choice = {};
  config.regression->task.metrics = {"perplexity", "target_loglikelihood"};
  EXPECT_THAT(Refusal(config), HasSubstr("regression.metric: 'perplexity'"));
}

TEST(StudyPlanTest, ARegressionSetIsAskedAsTheStudyAsks) {
  StudyConfig config = SmallConfig();
  config.regression = RegressionConfig{};
  config.regression->task = config.task;
  config.max_length = 48;
  config.exact_match.ignore_case = true;
  config.batch_tokens = 96;
  config.precision.type = "bfloat16";
  for (const EvalConfig& asked : {config.Scoring(), config.RegressionScoring()}) {
    EXPECT_EQ(asked.max_length, 48);
    EXPECT_TRUE(asked.exact_match.ignore_case);
    EXPECT_EQ(asked.batch_tokens, 96);
    EXPECT_EQ(asked.precision.type, "bfloat16");
  }
}

TEST(StudyPlanTest, TheOwnPromptIsAmongTheVariantsOnce) {
  StudyConfig config = SmallConfig();
  EXPECT_EQ(config.Variants().size(), 1u);
  PromptConfig asked;
  asked.name = "asked";
  config.prompts.variants = {asked};
  EXPECT_EQ(config.Variants().size(), 2u);
  asked.name = "default";
  config.prompts.variants = {asked};
  EXPECT_EQ(config.Variants().size(), 1u);
}

TEST(StudyFileTest, WhatIsWrittenReadsBackTheSame) {
  StudyFile study;
  study.task = "colours";
  study.arms = {{"zero", ArmRole::kZeroShot, 0, {"base/plain"}},
                {"tuned", ArmRole::kTuned, 8, {"a/plain", "b/plain"}}};
  study.candidate = 1;
  study.cells = {{"n8", 8, 0.1, 3, std::nan(""), 0.7, 1.0 / 3, true,
                  "cells/n8/checkpoints/step_000001", 1, 1}};
  study.costs = CostInput{{{"dev", 2, 1.5, 0.5}}, {}, {10, 2, 0, {{4, 0.25}}, {}}, {}};
  study.regression = StudyFileRegression{"other", "acc", "test", {"a/x"}, {"base/x"}};
  const std::string text = FormatStudyFile(study);
  EXPECT_EQ(FormatStudyFile(ParseStudyFile(text, "study.json")), text);
  std::string earlier = text;  // before cells were validated
  const size_t at = earlier.find("   \"validation_loss\"");
  ASSERT_NE(at, std::string::npos) << text;
  earlier.erase(at, earlier.find('\n', at) - at + 1);
  EXPECT_TRUE(std::isnan(ParseStudyFile(earlier, "study.json").cells[0].validation_loss));
  EXPECT_THROW(ParseStudyFile("{}", "study.json"), Error);
  study.candidate = 2;
  EXPECT_THROW(ParseStudyFile(FormatStudyFile(study), "study.json"), Error);
}

StudyState ScoredRates(const StudyConfig& config, int64_t size, std::vector<double> scores) {
  StudyState state;
  for (const StudyCell& cell : RateCells(config, size)) {
    ArmState arm;
    arm.summary.metrics[config.Metric()] = {scores.at(state.cells.size()), 0};
    state.arms[ArmKey("dev", cell.name, config.OwnPrompt().name)] = arm;
    state.cells[cell.name] = {};
  }
  return state;
}

TEST(StudyChoiceTest, ARateIsChosenOnceWhateverComesOutLater) {
  const StudyConfig config = SmallConfig();  // rates 1e-4, 1e-3
  StudyState state = ScoredRates(config, 8, {0.5, 0.75});
  EXPECT_EQ(ChooseRate(config, state, 8), 1e-3);
  EXPECT_THAT(Losers(config, 8, 1e-3), ElementsAre(MakeCell(8, 1e-4, 1)));
  state.rates[8] = 1e-4;
  EXPECT_EQ(ChooseRate(config, state, 8), 1e-4);
  state.rates.clear();
  state.cells.at("n8_lr0.001_s1").removed = true;
  EXPECT_EQ(ChooseRate(config, state, 8), 1e-4) << "an older file's choice";
  state.cells.at("n8_lr0.0001_s1").removed = true;
  EXPECT_THROW(ChooseRate(config, state, 8), Error);
}

TEST(StudyStateTest, WhatIsWrittenReadsBackTheSame) {
  StudyState state;
  state.fingerprint = "f";
  state.training_precision = "bfloat16";
  state.cells["n8"] = {1.25, 4, 100, 0.1, 0.2, "cells/n8/checkpoints/step_000002", true, 2, 1};
  ArmState arm;
  arm.summary.model = "base";
  arm.summary.metrics["acc"] = {0.1, std::nan("")};
  arm.hash = "h";
  state.arms["dev/base/plain"] = arm;
  state.serving["dev/base/plain"] = {12, 3, 0, {{8, 0.125}}, {}};
  state.search = {{{"0-4/plain", 0.5}, {"4-8/plain", std::nan("")}}, 2.5, 300};
  state.look = 1;
  state.rates = {{8, 0.1}, {32, 5e-5}};
  const std::string text = FormatStudyState(state);
  EXPECT_EQ(FormatStudyState(ParseStudyState(text, "state")), text);
  EXPECT_EQ(ParseStudyState(text, "state").cells.at("n8").chosen_epoch, 1);
  EXPECT_EQ(ParseStudyState(text, "state").rates, state.rates);
  EXPECT_EQ(ParseStudyState(text, "state").training_precision, "bfloat16");
  std::string earlier = text;  // before it was kept
  const size_t at = earlier.find(" \"training_precision\"");
  ASSERT_NE(at, std::string::npos) << text;
  earlier.erase(at, earlier.find('\n', at) - at + 1);
  EXPECT_EQ(ParseStudyState(earlier, "state").training_precision, "");
  EXPECT_THROW(ParseStudyState("{\"format\":1}", "state"), Error);
  state.arms["test/n8/plain"] = state.arms["test/n80/plain"] = arm;
  ForgetCell(state, "n8");
  EXPECT_TRUE(state.cells.empty());
  EXPECT_THAT(state.arms, ElementsAre(Key("dev/base/plain"), Key("test/n80/plain")));
  // The same words in study.json.
  const ServingMeasurement serving = ParseServing(FormatServing(state.serving.begin()->second), "");
  EXPECT_EQ(serving.batches.at(0).device_seconds, 0.125);
  EXPECT_THROW(ParseServing("[]", "state"), Error);
}

}  // namespace
}  // namespace breakeven
