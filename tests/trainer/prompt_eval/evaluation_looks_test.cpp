// What an evaluation leaves behind: looks at test, arms that an interrupted one goes on behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <string>
#include <vector>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/fault_injection.h"
#include "tests/support/tiny_model.h"
#include "tests/trainer/prompt_eval/evaluation_fixture.h"
#include "trainer/prompt_eval/evaluation.h"
#include "trainer/stop_signals.h"

namespace breakeven {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

// One look is of one precision: the other's scores are others.
TEST_F(EvaluationTest, AnotherPrecisionIsAnotherLook) {
  config_.sealed_split = "test";
  EXPECT_EQ(Run().num_looks, 1);
  EXPECT_EQ(Run().num_looks, 1);
  config_.precision = {.type = "bfloat16", .force_bfloat16 = true};
  EXPECT_EQ(Run().num_looks, 2);
}

TEST_F(EvaluationTest, OnlyWhatDevChoseIsScoredOnTheSealedSplit) {
  TinyModelOptions other;
  other.seed = 2;
  other.other_tokenizer = true;
  WriteTinyModel(Path("step_1"), other);
  other.seed = 3;
  WriteTinyModel(Path("step_2"), other);
  config_.models["tuned@step_1"] = Path("step_1");
  config_.models["tuned@step_2"] = Path("step_2");
  config_.sealed_split = "test";
  const EvalSummary summary = Run(2);
  // Three models × two variants on dev; one arm of `base` and one of `tuned` on test.
  ASSERT_EQ(summary.arms.size(), 8U);
  int chosen_on_dev = 0;
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(summary.arms[i].split, "dev");
    chosen_on_dev += summary.arms[i].chosen ? 1 : 0;
  }
  EXPECT_EQ(chosen_on_dev, 2);
  EXPECT_EQ(summary.arms[6].split, "test");
  EXPECT_EQ(summary.arms[6].model, "base");
  EXPECT_EQ(RunOfModel(summary.arms[7].model), "tuned");
  EXPECT_EQ(summary.arms[7].num_documents, 7);
  EXPECT_NE(summary.arms[2].model_hash, summary.arms[4].model_hash);
  // Another tokenizer, which has no merges: the shots' answers have more tokens.
  EXPECT_GT(summary.arms[3].mean_prompt_tokens, summary.arms[1].mean_prompt_tokens);
}

// Whoever scores test has looked at it, chosen or not: a later sealed look is not the first.
TEST_F(EvaluationTest, ScoringTestAsTheSplitIsALookAtAllItsArms) {
  config_.split = "test";
  config_.output = Path("all");
  const EvalSummary all = Run(2);
  EXPECT_EQ(all.arms.size(), 2U);
  EXPECT_EQ(all.looked_at, "test");
  EXPECT_EQ(all.look, 1);
  EXPECT_THAT(ReadFile(Path("all/ledger.jsonl")), HasSubstr(R"("split":"test")"));
  EXPECT_THAT(FormatTable(all), HasSubstr("Look 1 of 1 at 'test'"));
  EXPECT_EQ(Run().num_looks, 1);
  config_.split = "dev";
  config_.sealed_split = "test";
  config_.output = Path("sealed");
  EXPECT_EQ(Run(2).look, 2);
  EXPECT_EQ(ReadFile(Path("sealed/ledger.jsonl")), ReadFile(Path("test.jsonl.ledger.jsonl")));
  config_.split = "test";
  config_.sealed_split = "dev";
  EXPECT_THAT(ErrorOfRun(1), HasSubstr("test is for one look"));
  config_.sealed_split.clear();
  config_.prompt_search = PromptSearchConfig{};
  EXPECT_THAT(ErrorOfRun(1), HasSubstr("prompt_search chooses prompts on split 'test'"));
}

TEST_F(EvaluationTest, ASecondRunOfTheSameArmsIsTheSameLookOthersAreFurtherLooks) {
  config_.sealed_split = "test";
  EXPECT_EQ(Run().num_looks, 1);
  config_.output = Path("again");
  const EvalSummary again = Run();
  EXPECT_EQ(again.look, 1);
  EXPECT_EQ(again.num_looks, 1);
  config_.prompts.variants.resize(1);
  config_.prompts.variants[0].doc_to_text = "Fruit? {{ q }}";
  config_.output = Path("other");
  const EvalSummary other = Run(2);
  EXPECT_EQ(other.look, 2);
  EXPECT_EQ(other.num_looks, 2);
  EXPECT_THAT(FormatTable(other), HasSubstr("Look 2 of 2 at 'test'"));
  EXPECT_TRUE(fs::exists(Path("test.jsonl.ledger.jsonl")));
  EXPECT_TRUE(fs::exists(Path("other/ledger.jsonl")));
}

TEST_F(EvaluationTest, ASignalToOneRankEndsAllWithAskingForARequeue) {
  for (const char* output_type : {"multiple_choice", "generate_until"}) {
    for (const int world_size : {1, 3}) {
      config_.task.output_type = output_type;
      if (config_.task.output_type != "multiple_choice") config_.task.doc_to_choice.clear();
      config_.task.max_gen_toks = 5;
      config_.generation_batch = 2;  // some for every rank
      // Each rank has asked once before the first batch, so this is behind one of the last rank's.
      SetFaults("eval.stop_signal@" + std::to_string(world_size) +
                "+:" + std::to_string(world_size - 1) + "=errno:4");
      std::vector<ErrorKind> kinds(static_cast<size_t>(world_size), ErrorKind::kUsage);
      RunThreadWorld(world_size, [&](World& world) {
        try {
          RunEvaluation(config_, world);
        } catch (const Error& error) {
          kinds[static_cast<size_t>(world.rank())] = error.kind();
          EXPECT_TRUE(error.on_all_ranks());
          EXPECT_THAT(error.what(), HasSubstr("while prompts were scored"));
        }
      });
      SetFaults("");
      EXPECT_THAT(kinds, ::testing::Each(ErrorKind::kSavedRequeue)) << world_size << " ranks";
      EXPECT_FALSE(fs::exists(Path("run/records.jsonl")));
    }
  }
}

TEST_F(EvaluationTest, AnInterruptedEvaluationGoesOnBehindItsLastWholeArm) {
  config_.output = Path("uninterrupted");
  const std::string records = ReadFile(Run().records_path);
  const std::string fault = LastStop();
  config_.output = Path("run");
  SetFaults(fault);
  EXPECT_THAT(ErrorOfRun(), HasSubstr("goes on behind the last arm"));
  EXPECT_FALSE(fs::exists(Path("run/records.jsonl")));
  // One whose records are damaged is scored again, and meets the same end.
  fs::path part;
  for (const auto& entry : fs::directory_iterator(Path("run/kept_arms"))) {
    if (entry.path().extension() == ".jsonl") part = entry.path();
  }
  const std::string whole = ReadFile(part.string());
  WriteFileDurably(part.string(), whole.substr(1));
  SetFaults(fault);
  EXPECT_THAT(ErrorOfRun(), HasSubstr("goes on behind the last arm"));
  EXPECT_EQ(ReadFile(part.string()), whole);
  SetFaults(fault);
  const EvalSummary summary = Run();
  SetFaults("");
  EXPECT_EQ(summary.arms.size(), 2U);
  EXPECT_EQ(ReadFile(summary.records_path), records);
  EXPECT_FALSE(fs::exists(Path("run/kept_arms")));
}

// The same command, but the model has changed in something that its weights do not say.
TEST_F(EvaluationTest, AKeptArmOfAnotherConfigIsScoredAnew) {
  const std::string fault = LastStop();
  config_.output = Path("run");
  fs::create_directories(Path("run/kept_arms"));
  WriteFileDurably(Path("run/kept_arms/notes.txt"), "the user's");
  SetFaults(fault);
  EXPECT_THAT(ErrorOfRun(), HasSubstr("stopped"));
  SetFaults("");
  std::string json = ReadFile(Path("base/config.json"));
  const std::string key = "\"rms_norm_eps\": ";
  const size_t value = json.find(key) + key.size();
  ASSERT_GT(value, key.size());
  json.replace(value, json.find_first_of(",\n}", value) - value, "0.5");
  WriteFileDurably(Path("base/config.json"), json);
  const std::string resumed = ReadFile(Run().records_path);
  EXPECT_EQ(ReadFile(Path("run/kept_arms/notes.txt")), "the user's");
  config_.output = Path("anew");
  EXPECT_EQ(resumed, ReadFile(Run().records_path));
}

TEST_F(EvaluationTest, ARealSignalIsTheSame) {
  const StopSignals signals;  // as in train: the evaluation's own are not the first
  ::raise(SIGUSR1);
  EXPECT_THAT(ErrorOfRun(), HasSubstr("stopped by SIGUSR1 while prompts were scored"));
}

}  // namespace
}  // namespace breakeven
