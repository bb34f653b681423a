#include "trainer/training_inputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/trainer/training/training_fixture.h"
#include "trainer/checkpoint/run_folder.h"

namespace breakeven {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class TrainingInputsTest : public TrainingTest {
 protected:
  // What all ranks of a job say together, with rank `odd`'s config changed.
  std::string Refusal(ErrorKind kind, int world_size, int odd, const TrainConfig& good,
                      const TrainConfig& changed) {
    return MessageOf(kind, [&] {
      RunThreadWorld(world_size, [&](World& world) {
        DryRunTraining(world.rank() == odd ? changed : good, world);
      });
    });
  }
};

TEST_F(TrainingInputsTest, DryRunSaysWhatWouldRun) {
  std::string text;
  RunThreadWorld(2, [&](World& world) {
    const std::string own = DryRunTraining(Config(), world);
    if (world.is_root()) text = own;
  });
  EXPECT_THAT(text, AllOf(HasSubstr("steps: 20"), HasSubstr("120 examples"),
                          HasSubstr("local_rank"), HasSubstr("memory per rank"),
                          HasSubstr("for its 2 rank(s)"), HasSubstr("llama")));
  EXPECT_FALSE(std::filesystem::exists(Config().output)) << "a dry run writes nothing";
}

TEST_F(TrainingInputsTest, PromptsThatCannotBeScoredAreFoundBeforeTheFirstStep) {
  TrainConfig config = Config();
  config.model.tokenizer = folder_ / "tokenizer";
  EvalConfig& eval = config.prompt_eval.emplace();
  eval.task.name = "task";
  eval.task.splits["dev"].path = folder_ / "missing.jsonl";
  eval.task.doc_to_text = "{{ q }}";
  eval.task.doc_to_target = "{{ a }}";
  eval.task.doc_to_choice = {"yes", "no"};
  EXPECT_THAT(MessageOf(ErrorKind::kBadData, [&] { Train(config, 2); }),
              HasSubstr("missing.jsonl"));
  EXPECT_FALSE(std::filesystem::exists(config.output)) << "nothing was trained";
}

TEST_F(TrainingInputsTest, WhoWritesCheckpointsIsDecidedOnce) {
  for (const bool shared_output : {true, false}) {
    for (const int world_size : {1, 2}) {
      RunThreadWorld(world_size, [&](World& world) {
        TrainConfig config = Config();
        config.preflight.shared_output = shared_output;
        const TrainingInputs inputs = OpenTrainingInputs(config, world);
        EXPECT_EQ(inputs.shares_folder, shared_output || world_size == 1);
        EXPECT_EQ(inputs.shard, shared_output && world_size == 2) << "where each writes its part";
      });
    }
  }
}

TEST_F(TrainingInputsTest, StepsOfEpochsAreCheckedAgainstTheSchedule) {
  TrainConfig config = Config();
  config.max_steps = 0;  // one epoch has 10 steps
  config.schedule.kind = "warmup_stable_decay";
  config.schedule.warmup_steps = 6;
  config.schedule.decay_ratio = 0.5;
  EXPECT_THAT(Refusal(ErrorKind::kUsage, 2, 0, config, config),
              AllOf(HasSubstr("of 10 steps"), HasSubstr("schedule.warmup_steps: 6")));
}

TEST(UnusedDevicesNote, OneLineForEachHostThatHasSome) {
  const std::vector<RankPlace> places = {
      {"a", "0", 1}, {"a", "1", 1}, {"b", "0", 1}, {"c", "0", 1}};
  EXPECT_EQ(UnusedDevicesNote(places, {"", "", "", ""}), "");
  EXPECT_EQ(
      UnusedDevicesNote(places, {"H100", "H100", "", "H200, H200"}),
      "\nnot used: the GPUs of host a (H100); device: auto or cuda would compute on them"
      "\nnot used: the GPUs of host c (H200, H200); device: auto or cuda would compute on them");
}

TEST_F(TrainingInputsTest, AFileThatOneRankCannotOpenEndsAll) {
  TrainConfig other = Config();
  other.data = folder_ / "missing.h5";
  const std::string message = Refusal(ErrorKind::kBadData, 3, 1, Config(), other);
  EXPECT_THAT(message, AllOf(HasSubstr("missing.h5"), HasSubstr("rank 1")));
}

TEST_F(TrainingInputsTest, OtherConfigOnOneRank) {
  TrainConfig other = Config();
  other.optimizer.learning_rate = 1;
  EXPECT_THAT(Refusal(ErrorKind::kUsage, 2, 1, Config(), other), HasSubstr("config"));
}

TEST_F(TrainingInputsTest, OtherDatasetOnOneRank) {
  WriteDataset("other.h5", 120, 11);
  TrainConfig other = Config();
  other.data = folder_ / "other.h5";
  EXPECT_THAT(Refusal(ErrorKind::kBadData, 2, 1, Config(), other), HasSubstr("train dataset"));
}

TEST_F(TrainingInputsTest, FewerExamplesThanRanks) {
  WriteDataset("two.h5", 2, 7);
  TrainConfig config = Config();
  config.data = folder_ / "two.h5";
  EXPECT_THAT(Refusal(ErrorKind::kUsage, 3, 0, config, config),
              HasSubstr("2 examples for 3 ranks"));
}

TEST_F(TrainingInputsTest, TokensBeyondTheVocabulary) {
  nlohmann::json json = nlohmann::json::parse(TinyLlamaJson());
  json["vocab_size"] = kTinyVocab - 1;
  WriteBytes(folder_ / "config.json", json.dump());
  EXPECT_THAT(Refusal(ErrorKind::kBadData, 1, 0, Config(), Config()),
              HasSubstr("token ids go up to 96, the model's vocabulary has only 96 rows"));
}

TEST_F(TrainingInputsTest, ExampleLongerThanTheContext) {
  nlohmann::json json = nlohmann::json::parse(TinyLlamaJson());
  json["max_position_embeddings"] = 20;
  WriteBytes(folder_ / "config.json", json.dump());
  EXPECT_THAT(Refusal(ErrorKind::kBadData, 1, 0, Config(), Config()),
              AllOf(HasSubstr("takes at most 20"), HasSubstr("source line")));
}

TEST_F(TrainingInputsTest, TwoRunsInOneFolder) {
  const TrainConfig config = Config();
  std::filesystem::create_directories(config.output);
  const FolderLock other(config.output);
  EXPECT_THAT(MessageOf(ErrorKind::kCannotCreate, [&] { Train(config, 2); }),
              HasSubstr("another run is writing here"));
}

TEST_F(TrainingInputsTest, OutputThatIsAFile) {
  TrainConfig config = Config("file");
  WriteBytes(config.output, "x");
  EXPECT_THAT(MessageOf(ErrorKind::kCannotCreate, [&] { Train(config, 2); }), HasSubstr("file"));
}

TEST_F(TrainingInputsTest, DamagedTokensEndTheRunBeforeTheyTrain) {
  std::string bytes = ReadBytes(folder_ / "train.h5");
  const auto dataset = TokenDataset::Open(folder_ / "train.h5");
  // The largest run of the file's data is the tokens: flip one bit of a token of the first example.
  std::vector<int64_t> first(static_cast<size_t>(dataset->example_tokens(0)));
  dataset->ReadTokens(0, first);
  std::string pattern;
  for (const int64_t token : first) {
    pattern += static_cast<char>(token & 0xff);
    pattern += static_cast<char>(token >> 8);
  }
  const size_t at = bytes.find(pattern);
  ASSERT_NE(at, std::string::npos);
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  WriteBytes(folder_ / "train.h5", bytes);
  EXPECT_THAT(MessageOf(ErrorKind::kBadData, [&] { Train(Config(), 2); }), HasSubstr("train.h5"));
}

}  // namespace
}  // namespace breakeven
