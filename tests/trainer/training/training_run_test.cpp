#include "trainer/training_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/trainer/training/training_fixture.h"
#include "trainer/checkpoint/manifest.h"
#include "trainer/checkpoint/run_folder.h"

namespace breakeven {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class TrainingRunTest : public TrainingTest {};

TEST_F(TrainingRunTest, LossFallsAndTheFolderIsAsTheContractSays) {
  const TrainConfig config = Config();
  const TrainSummary summary = Train(config);
  EXPECT_EQ(summary.steps, 20);
  EXPECT_EQ(summary.epochs, 2);
  EXPECT_EQ(summary.skipped_steps, 0);
  const std::vector<double> losses = Losses(config);
  ASSERT_EQ(losses.size(), 20u);
  EXPECT_NEAR(losses[0], std::log(kTinyVocab), 0.5);
  EXPECT_LT(losses[19], losses[0] - 0.1);
  EXPECT_EQ(summary.final_loss, losses[19]);
  EXPECT_NEAR(summary.compute_share + summary.communication_share + summary.skew_share +
                  summary.input_share,
              1, 1e-12);
  EXPECT_GT(summary.peak_memory_bytes, 1 << 20);
  const std::string checkpoint = config.output + "/checkpoints/step_000020";
  EXPECT_EQ(summary.last_checkpoint, checkpoint);
  for (const char* name :
       {"config.json", "generation_config.json", "model.safetensors", "manifest.json",
        "trainer_state/state.json", "trainer_state/optimizer.safetensors"}) {
    EXPECT_TRUE(std::filesystem::exists(checkpoint + "/" + name)) << name;
  }
  EXPECT_EQ(ReadBytes(config.output + "/checkpoints/latest"), "step_000020\n");
  const auto state = nlohmann::json::parse(ReadBytes(checkpoint + "/trainer_state/state.json"));
  EXPECT_EQ(state["train_size"], 120) << "records.jsonl of an evaluation says it";
  EXPECT_EQ(Metrics(config, "end").size(), 1u);
  EXPECT_EQ(CheckpointsOf(config.output).at("step_000020"), checkpoint);
}

TEST_F(TrainingRunTest, FinishedRunHasNothingToDo) {
  const TrainConfig config = Config();
  const TrainSummary first = Train(config);
  const std::string metrics = ReadBytes(config.output + "/metrics.jsonl");
  const TrainSummary second = Train(config);
  EXPECT_EQ(second.steps, 20);
  EXPECT_EQ(second.last_checkpoint, first.last_checkpoint);
  EXPECT_EQ(ReadBytes(config.output + "/metrics.jsonl"), metrics);
}

TEST_F(TrainingRunTest, MoreStepsGoOnFromTheEnd) {
  TrainConfig config = Config();
  config.max_steps = 8;
  config.schedule.kind = "constant";
  Train(config);
  config.max_steps = 20;
  Train(config);
  TrainConfig whole = Config("whole");
  whole.schedule.kind = "constant";
  Train(whole);
  EXPECT_EQ(Losses(config), Losses(whole));
}

TEST_F(TrainingRunTest, OtherStepsAndOtherSettingsAreBothSaidOnResume) {
  TrainConfig config = Config();
  const auto said = [&] { return ReadBytes(config.output + "/log.txt"); };
  config.max_steps = 4;
  Train(config);
  config.max_steps = 5;
  Train(config);
  EXPECT_THAT(said(), HasSubstr("steps in all: 4, now it is 5"));
  EXPECT_THAT(said(), Not(HasSubstr("settings of hash")));
  config.max_steps = 6;
  config.optimizer.learning_rate = 1e-3;
  Train(config);
  EXPECT_THAT(said(), HasSubstr("steps in all: 5, now it is 6"));
  EXPECT_THAT(said(), HasSubstr("settings of hash"));
}

TEST_F(TrainingRunTest, OtherDataTemplateSeedOrBatchIsRefusedOnResume) {
  TrainConfig config = Config();
  SetFaults("train.stop_signal@4=errno:4");
  MessageOf(ErrorKind::kSavedRequeue, [&] { Train(config); });
  SetFaults("");
  WriteDataset("other_template.h5", 120, 7, "00000000000000cc");
  WriteDataset("other_data.h5", 120, 9);
  TrainConfig other = config;
  other.data = folder_ / "other_template.h5";
  const std::string message = MessageOf(ErrorKind::kBadData, [&] { Train(other, 2); });
  EXPECT_THAT(message, HasSubstr("00000000000000cc"));
  EXPECT_THAT(message, HasSubstr("fedcba9876543210"));
  other.data = folder_ / "other_data.h5";
  EXPECT_THAT(MessageOf(ErrorKind::kBadData, [&] { Train(other); }), HasSubstr("dataset"));
  other = config;
  other.seed = 4;
  EXPECT_THAT(MessageOf(ErrorKind::kUsage, [&] { Train(other); }),
              HasSubstr("seed 3, now it is 4"));
  other = config;
  other.batching.global_batch.examples = 6;
  EXPECT_THAT(MessageOf(ErrorKind::kUsage, [&] { Train(other); }), HasSubstr("global_batch"));
  other = config;
  std::string json = TinyLlamaJson();
  json.replace(json.find("10000.0"), 7, "20000.0");
  WriteBytes(folder_ / "other_config.json", json);
  other.model.config = folder_ / "other_config.json";
  EXPECT_THAT(MessageOf(ErrorKind::kBadData, [&] { Train(other, 2); }),
              HasSubstr("rope_theta is 10000.0, now it is 20000.0"));
  other = config;
  other.resume = "none";
  EXPECT_THAT(MessageOf(ErrorKind::kCannotCreate, [&] { Train(other); }), HasSubstr("step_000005"));
}

TEST_F(TrainingRunTest, ResumeFromANamedFolderIntoAnotherRun) {
  TrainConfig config = Config();
  config.checkpoint.every_steps = 5;
  config.checkpoint.keep_last = 9;
  Train(config);
  TrainConfig branch = Config("branch");
  branch.resume = config.output + "/checkpoints/step_000010";
  const TrainSummary summary = Train(branch);
  EXPECT_TRUE(Bytes(summary.last_checkpoint) == Bytes(config.output + "/checkpoints/step_000020"));
  TrainConfig back =
      config;  // into the same folder it would leave newer checkpoints of another history
  back.resume = branch.resume;
  EXPECT_THAT(MessageOf(ErrorKind::kCannotCreate, [&] { Train(back); }), HasSubstr("step_000020"));
}

TEST_F(TrainingRunTest, AFinishedCheckpointOfAnotherFolderIsSavedInTheRunsOwn) {
  TrainConfig config = Config();
  config.validation.data = folder_ / "dev.h5";
  const TrainSummary whole = Train(config);
  TrainConfig branch = Config("branch");
  branch.validation = config.validation;
  branch.resume = whole.last_checkpoint;
  const TrainSummary summary = Train(branch, 2);
  EXPECT_EQ(summary.last_checkpoint, branch.output + "/checkpoints/step_000020");
  EXPECT_TRUE(Bytes(summary.last_checkpoint) == Bytes(whole.last_checkpoint));
  EXPECT_TRUE(summary.best_checkpoint.empty() ||
              std::filesystem::is_directory(summary.best_checkpoint))
      << summary.best_checkpoint;
}

TEST_F(TrainingRunTest, AStoppedRunSaysHowItGoesOn) {
  TrainConfig config = Config();
  SetFaults("train.stop_signal@4=errno:4");
  EXPECT_THAT(MessageOf(ErrorKind::kSavedRequeue, [&] { Train(config); }),
              HasSubstr("Run the same command to go on"));
  for (const std::string& resume :
       {std::string("none"), config.output + "/checkpoints/step_000005"}) {
    TrainConfig other = Config(resume == "none" ? "anew" : "branch");
    other.resume = resume;
    SetFaults("train.stop_signal@7=errno:4");
    // The same command would be refused: the folder has checkpoints now.
    EXPECT_THAT(MessageOf(ErrorKind::kSavedRequeue, [&] { Train(other); }),
                HasSubstr("Run the same command with resume: auto"));
    SetFaults("");
    MessageOf(ErrorKind::kCannotCreate, [&] { Train(other); });
    other.resume = "auto";
    EXPECT_EQ(Train(other).steps, 20);
  }
}

TEST_F(TrainingRunTest, ARefusedResumeLeavesTheConfigOfTheRun) {
  TrainConfig config = Config();
  config.max_steps = 3;
  const auto train = [&](const std::string& yaml) {
    RunThreadWorld(2, [&](World& world) { RunTraining(config, world, yaml); });
  };
  train("seed: 3");
  config.seed = 4;
  MessageOf(ErrorKind::kUsage, [&] { train("seed: 4"); });
  EXPECT_EQ(ReadBytes(config.output + "/config.yaml"), "seed: 3");
}

TEST_F(TrainingRunTest, DamagedNewestFallsBackAndIsSetAside) {
  TrainConfig config = Config();
  config.checkpoint.every_steps = 5;
  config.checkpoint.keep_last = 3;
  const TrainSummary whole = Train(config);
  const std::string expected = Bytes(whole.last_checkpoint);
  std::string weights = ReadBytes(whole.last_checkpoint + "/model.safetensors");
  weights[weights.size() / 2] = static_cast<char>(weights[weights.size() / 2] ^ 1);
  WriteBytes(whole.last_checkpoint + "/model.safetensors", weights);
  EXPECT_TRUE(Bytes(Train(config).last_checkpoint) == expected);
  EXPECT_TRUE(std::filesystem::exists(whole.last_checkpoint + ".damaged"));
  EXPECT_EQ(Losses(config).size(), 20u);
}

TEST_F(TrainingRunTest, AWeightThatDiffersOnOneRankEndsTheRun) {
  TrainConfig config = Config();
  config.optimizer.shard = false;  // weights of its own for each rank
  config.check_replicas_every_steps = 4;
  SetFaults("train.weight_flip@6:2=errno:5");
  const std::string message = MessageOf(ErrorKind::kInternal, [&] { Train(config, 3); });
  EXPECT_THAT(message, HasSubstr("the hash of all weights at step 8"));
  EXPECT_THAT(message, testing::AllOf(HasSubstr("rank 0 has"), HasSubstr("rank 2 has")));
  EXPECT_THAT(ListCheckpoints(config.output), testing::IsEmpty()) << "nothing wrong is saved";
  config.output = folder_ / "unchecked";
  config.check_replicas_every_steps = 0;
  SetFaults("train.weight_flip@6:2=errno:5");
  EXPECT_THAT(MessageOf(ErrorKind::kInternal, [&] { Train(config, 3); }), HasSubstr("at step 20"))
      << "off: noticed by the save";
}

TEST_F(TrainingRunTest, ALossSpikeIsReported) {
  const TrainConfig whole = Config("whole");
  const std::string expected = Bytes(Train(whole, 2).last_checkpoint);
  EXPECT_TRUE(Metrics(whole, "spike").empty());
  TrainConfig config = Config();
  config.loss_spikes.window_steps = 8;
  SetFaults("train.loss_spike@13=errno:5");
  EXPECT_TRUE(Bytes(Train(config, 2).last_checkpoint) == expected);
  const auto spikes = Metrics(config, "spike");
  ASSERT_EQ(spikes.size(), 1u);
  EXPECT_EQ(spikes[0]["step"], 13);
  EXPECT_GT(spikes[0]["deviations"].get<double>(), 8.0);
}

// Back to the checkpoint of step 10, whose next data is that behind step 13; the second spike, where
// the same step comes by again, is one too many.
TEST_F(TrainingRunTest, ALossSpikeRollsBackAndTheDataMovesOn) {
  TrainConfig config = Config();
  config.loss_spikes = {.action = "rollback", .window_steps = 8, .max_rollbacks = 1};
  config.checkpoint.every_steps = 5;
  const std::string spike = "train.loss_spike@13=errno:5";
  SetFaults(spike);
  const std::string expected = Bytes(Train(config, 2).last_checkpoint);
  const auto rollbacks = Metrics(config, "rollback");
  ASSERT_EQ(rollbacks.size(), 1u);
  EXPECT_EQ(rollbacks[0]["step"], 10);
  EXPECT_EQ(rollbacks[0]["from_step"], 13);
  EXPECT_EQ(Metrics(config, "spike").size(), 1u) << "that of the second time";
  std::vector<int64_t> steps;
  for (const nlohmann::json& line : Metrics(config, "step")) steps.push_back(line["step"]);
  ASSERT_EQ(steps.size(), 20u);
  EXPECT_TRUE(std::is_sorted(steps.begin(), steps.end()));
  const auto state = nlohmann::json::parse(
      ReadBytes(config.output + "/checkpoints/step_000020/trainer_state/state.json"));
  EXPECT_EQ(state["rollbacks"], 1);
  EXPECT_EQ(state["epoch"], 2);
  EXPECT_EQ(state["step_in_epoch"], 3) << "23 steps of data in epochs of 10";
  TrainConfig stopped = config;
  stopped.output = folder_ / "stopped";
  SetFaults(spike + ",train.stop_signal@16=errno:4");
  MessageOf(ErrorKind::kSavedRequeue, [&] { Train(stopped, 2); });
  SetFaults(spike);
  EXPECT_TRUE(Bytes(Train(stopped, 2).last_checkpoint) == expected) << "also after a stop";
}

TEST_F(TrainingRunTest, TooManyNonFiniteInARowEndTheRun) {
  TrainConfig config = Config();
  config.max_nonfinite_steps = 3;
  config.checkpoint.every_steps = 4;
  SetFaults("train.gradient@5+:1=nan");
  const std::string message = MessageOf(ErrorKind::kInternal, [&] { Train(config, 2); });
  EXPECT_THAT(message, HasSubstr("3 steps in a row"));
  EXPECT_THAT(message, HasSubstr("the checkpoint of step 4 is kept"));
  SetFaults("train.gradient@5=nan,train.gradient@6=nan,train.gradient@8=nan,train.gradient@9=nan");
  std::filesystem::remove_all(config.output);
  EXPECT_EQ(Train(config, 2).skipped_steps, 4) << "a good step in between starts the count anew";
}

TEST_F(TrainingRunTest, ValidationIsBitEqualOverRanksAndBestIsKept) {
  std::vector<double> first;
  for (const int world_size : {1, 2, 3}) {
    TrainConfig config = Config("run" + std::to_string(world_size));
    config.validation.data = folder_ / "dev.h5";
    config.max_steps =
        1;  // whose learning rate is 0: the weights are those of the start, to the bit
    config.schedule.warmup_steps = 1;
    first.push_back(Train(config, world_size).best_validation_loss);
  }
  EXPECT_EQ(first[0], first[1]);
  EXPECT_EQ(first[0], first[2]);

  TrainConfig config = Config("best");
  config.validation.data = folder_ / "dev.h5";
  config.validation.every_steps = 2;
  config.checkpoint.keep_last = 1;
  config.optimizer.learning_rate = 0.05;  // overfits: the best is not the last
  config.max_steps = 40;
  const TrainSummary summary = Train(config);
  std::vector<double> losses;
  for (const nlohmann::json& line : Metrics(config, "validation")) losses.push_back(line["loss"]);
  ASSERT_EQ(losses.size(), 20u);
  const auto best = std::min_element(losses.begin(), losses.end());
  EXPECT_EQ(summary.best_validation_loss, *best);
  const int64_t best_step = 2 * (best - losses.begin() + 1);
  EXPECT_EQ(summary.best_checkpoint,
            CheckpointsFolder(config.output) + "/" + CheckpointName(best_step));
  EXPECT_NO_THROW(VerifyCheckpoint(summary.best_checkpoint));
}

TEST_F(TrainingRunTest, EarlyStoppingEndsAndStaysEnded) {
  TrainConfig config = Config();
  config.validation.data = folder_ / "dev.h5";
  config.validation.every_steps = 2;
  config.validation.early_stopping_patience = 2;
  config.optimizer.learning_rate = 0.2;
  config.max_steps = 100;
  const TrainSummary summary = Train(config, 2);
  EXPECT_LT(summary.steps, 100);
  EXPECT_EQ(Train(config, 2).steps, summary.steps);
}

TEST_F(TrainingRunTest, EpochsAndFractionsBecomeSteps) {
  TrainConfig config = Config();
  config.max_steps = 0;
  config.epochs = 1.25;  // 10 steps an epoch
  config.validation.data = folder_ / "dev.h5";
  EXPECT_EQ(Train(config).steps, 13);
  std::vector<int64_t> validated;
  for (const nlohmann::json& line : Metrics(config, "validation"))
    validated.push_back(line["step"]);
  EXPECT_THAT(validated, ElementsAre(10, 13)) << "at the end of the epoch and of the run";
}

TEST_F(TrainingRunTest, TimeBasedCheckpointsFollowRankZero) {
  TrainConfig config = Config();
  config.checkpoint.every_minutes = 1e-9;  // due at every step
  config.checkpoint.keep_last = 100;
  config.max_steps = 5;
  Train(config, 2);
  EXPECT_EQ(ListCheckpoints(config.output).size(), 5u);
}

}  // namespace
}  // namespace breakeven
