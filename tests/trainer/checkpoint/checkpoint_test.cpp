#include "trainer/checkpoint/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "comm/base/durable_file.h"
#include "tests/trainer/training/training_fixture.h"
#include "trainer/checkpoint/manifest.h"
#include "trainer/checkpoint/run_folder.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// Everything that a checkpoint saves, with values that differ from step to step.
struct Parts {
  explicit Parts(uint64_t seed)
      : world(MakeSingleWorld()),
        storage(*world.data),
        model(BuildModel(ParseModelConfig(TinyLlamaJson(), "test"), storage)),
        optimizer(OptimizerConfig(), storage) {
    InitializeWeights(*model, seed);
    for (uint64_t i = 0; i < 40; ++i) {
      optimizer.moment(Moment::kExpAvg)[static_cast<int64_t>(i)] = RandomUniform(seed, 5, i);
      optimizer.moment(Moment::kExpAvgSq)[static_cast<int64_t>(i)] = RandomUniform(seed, 6, i);
    }
    companions = {{"tokenizer.json", "{\"a\": 1}"}, {"chat_template.jinja", "{{ x }}"}};
  }
  // A whole save, in `num_parts` parts one behind the other.
  void Save(const std::string& run, const TrainingState& state, int num_parts = 1) const {
    FileRecords files;
    for (int part = num_parts - 1; part >= 0; --part) {
      files.merge(WritePart(run, state.step, *model, storage, companions, Part(part, num_parts)));
    }
    CommitCheckpoint(run, state, files);
  }
  CheckpointPart Part(int index, int num_parts) const {
    CheckpointPart part;
    part.index = index;
    part.num_parts = num_parts;
    if (index == 0) part.parameters_P = storage.parameters_P.detach();
    for (const MomentStretch& stretch : DealMoments(storage.num_elements(), index, num_parts)) {
      part.moments.push_back(
          {stretch,
           optimizer.moment(stretch.moment).narrow(0, stretch.range.begin, stretch.range.size())});
    }
    return part;
  }
  void Load(const std::string& folder) {
    LoadWeights(folder, *model);
    for (const Moment moment : {Moment::kExpAvg, Moment::kExpAvgSq}) {
      LoadMoment(folder, moment, storage, optimizer.moment(moment));
    }
  }

  World world;
  ModelStorage storage;
  std::unique_ptr<Model> model;
  AdamW optimizer;
  CompanionFiles companions;
};

TrainingState StateOf(int64_t step) {
  TrainingState state;
  state.step = step;
  state.num_updates = step - 1;
  state.total_steps = 1000;
  state.best_validation_loss = 1.0 / 7;
  return state;
}

class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest() { CreateFolders(CheckpointsFolder(run())); }
  ~CheckpointTest() override { SetFaults(""); }
  std::string run() const { return folder_ / "run"; }
  std::string Path(int64_t step) const {
    return CheckpointsFolder(run()) + "/" + CheckpointName(step);
  }

  int64_t NewestStep() const {
    std::vector<std::string> problems;
    const auto found = FindNewestComplete(run(), problems);
    return found.has_value() ? found->step : -1;
  }

  const TempFolder folder_;
};

TEST_F(CheckpointTest, RoundTripIsExact) {
  Parts parts(1);
  parts.Save(run(), StateOf(12));
  VerifyCheckpoint(Path(12));
  Parts other(2);
  const TrainingState state = LoadTrainingState(Path(12));
  other.Load(Path(12));
  EXPECT_TRUE(at::equal(parts.storage.parameters_P, other.storage.parameters_P));
  EXPECT_TRUE(at::equal(parts.optimizer.moment(Moment::kExpAvg).narrow(0, 0, 40),
                        other.optimizer.moment(Moment::kExpAvg).narrow(0, 0, 40)));
  EXPECT_TRUE(at::equal(parts.optimizer.moment(Moment::kExpAvgSq).narrow(0, 0, 40),
                        other.optimizer.moment(Moment::kExpAvgSq).narrow(0, 0, 40)));
  EXPECT_EQ(state.num_updates, 11);
  EXPECT_EQ(state.best_validation_loss, 1.0 / 7);
  EXPECT_EQ(ReadBytes(Path(12) + "/tokenizer.json"), "{\"a\": 1}");
  EXPECT_THAT(ReadBytes(Path(12) + "/config.json"), HasSubstr("\"dtype\": \"float32\""));
}

TEST_F(CheckpointTest, PartsOfAnyNumberOfRanksComeTogether) {
  Parts parts(1);
  const int64_t size = parts.storage.num_elements();
  for (const int num_parts : {1, 2, 3, 4, 7}) {
    SCOPED_TRACE(num_parts);
    int64_t dealt = 0;
    for (int part = 0; part < num_parts; ++part) {
      int64_t own = part == 0 ? size : 0;  // the weights
      for (const MomentStretch& stretch : DealMoments(size, part, num_parts)) {
        own += stretch.range.size();
      }
      const int64_t fair = num_parts <= 3 ? 3 * size / num_parts : 2 * size / (num_parts - 1);
      if (part > 0) {
        EXPECT_LE(std::abs(own - fair), 2 * kParameterAlignment);
      }
      dealt += own;
    }
    EXPECT_EQ(dealt, 3 * size);
    parts.Save(run(), StateOf(num_parts), num_parts);
    VerifyCheckpoint(Path(num_parts));
    Parts other(2);
    other.Load(Path(num_parts));
    for (const Moment moment : {Moment::kExpAvg, Moment::kExpAvgSq}) {
      EXPECT_TRUE(at::equal(parts.optimizer.moment(moment), other.optimizer.moment(moment)));
    }
  }
}

TEST_F(CheckpointTest, APartThatIsNotThereIsNamed) {
  Parts parts(1);
  parts.Save(run(), StateOf(10), 3);
  Manifest manifest = ReadManifest(Path(10));  // of somebody who left a file out
  ASSERT_EQ(manifest.files.erase("trainer_state/optimizer-00002-of-00003.safetensors"), 1u);
  WriteBytes(Path(10) + "/manifest.json", manifest.ToJson());
  EXPECT_THAT(MessageOf(ErrorKind::kBadData, [&] { Parts(2).Load(Path(10)); }),
              HasSubstr("lacks tensor exp_avg."));
}

// What program 0.1 has written: the same files, another number.
TEST_F(CheckpointTest, FormatOneIsRead) {
  Parts parts(1);
  parts.Save(run(), StateOf(10));
  Manifest manifest = ReadManifest(Path(10));
  manifest.format = 1;
  WriteBytes(Path(10) + "/manifest.json", manifest.ToJson());
  VerifyCheckpoint(Path(10));
  Parts other(2);
  other.Load(Path(10));
  EXPECT_TRUE(
      at::equal(parts.optimizer.moment(Moment::kExpAvg), other.optimizer.moment(Moment::kExpAvg)));
  manifest.format = 3;
  WriteBytes(Path(10) + "/manifest.json", manifest.ToJson());
  EXPECT_THAT(MessageOf(ErrorKind::kBadData, [&] { VerifyCheckpoint(Path(10)); }),
              HasSubstr("format 3, this program reads formats 1 to 2"));
}

TEST_F(CheckpointTest, SameContentSameBytes) {
  Parts parts(1);
  parts.Save(run(), StateOf(5));
  const std::string manifest = ReadBytes(Path(5) + "/manifest.json");
  parts.Save(run(), StateOf(5));  // a step that is done again replaces the former
  EXPECT_EQ(ReadBytes(Path(5) + "/manifest.json"), manifest);
  EXPECT_EQ(ListCheckpoints(run()).size(), 1u);
  EXPECT_FALSE(fs::exists(Path(5) + ".replaced.tmp"));
}

// A process that dies at any point of a save leaves the former checkpoint or the new one, whole,
// and leftovers that the next start removes.
TEST_F(CheckpointTest, KilledAtEveryPhase) {
  struct Phase {
    const char* point;
    int64_t newest;
    const char* latest;
  };
  const Phase phases[] = {{"checkpoint.begin", 10, "step_000010\n"},
                          {"checkpoint.after_weights", 10, "step_000010\n"},
                          {"checkpoint.after_part", 10, "step_000010\n"},
                          {"checkpoint.before_manifest", 10, "step_000010\n"},
                          {"checkpoint.before_rename", 10, "step_000010\n"},
                          {"checkpoint.before_latest", 20, "step_000010\n"},
                          {"checkpoint.after_latest", 20, "step_000020\n"}};
  Parts parts(1);
  for (const Phase& phase : phases) {
    SCOPED_TRACE(phase.point);
    fs::remove_all(CheckpointsFolder(run()));
    CreateFolders(CheckpointsFolder(run()));
    parts.Save(run(), StateOf(10));
    SetFaults(std::string(phase.point) + "@20=kill");
    const pid_t child = ::fork();
    if (child == 0) {
      parts.Save(run(), StateOf(20));
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "the point was not passed";
    SetFaults("");
    EXPECT_EQ(NewestStep(), phase.newest);
    EXPECT_EQ(ReadBytes(CheckpointsFolder(run()) + "/latest"), phase.latest);
    RemoveLeftovers(run());
    for (const auto& item : fs::directory_iterator(CheckpointsFolder(run()))) {
      EXPECT_THAT(item.path().string(), testing::Not(testing::EndsWith(".tmp")));
    }
    EXPECT_EQ(NewestStep(), phase.newest);
  }
}

// Kills at the n-th write, fsync or rename of the whole save, for every n.
TEST_F(CheckpointTest, KilledAtEveryCall) {
  Parts parts(1);
  parts.Save(run(), StateOf(10));
  int kills = 0;
  for (const char* call : {"durable_file.rename", "durable_file.fsync"}) {
    for (int n = 0;; ++n) {
      SetFaults(std::string(call) + "@" + std::to_string(n) + "=kill");
      const pid_t child = ::fork();
      if (child == 0) {
        parts.Save(run(), StateOf(20));
        ::_exit(0);
      }
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      if (WIFEXITED(status)) break;
      ++kills;
      const int64_t newest = NewestStep();
      EXPECT_TRUE(newest == 10 || newest == 20) << call << " " << n;
      fs::remove_all(Path(20));
      RemoveLeftovers(run());
    }
  }
  EXPECT_GT(kills, 20);
}

TEST_F(CheckpointTest, NoSpaceLeavesTheFormerOneAndNothingElse) {
  Parts parts(1);
  parts.Save(run(), StateOf(10));
  for (const char* fault : {"durable_file.write@2+=errno:ENOSPC", "durable_file.fsync@4=errno:EIO",
                            "durable_file.rename@3=errno:ENOSPC"}) {
    SetFaults(fault);
    const std::string message = MessageOf(ErrorKind::kIo, [&] { parts.Save(run(), StateOf(20)); });
    EXPECT_THAT(message, HasSubstr("step_000020"));
    SetFaults("");
    EXPECT_EQ(NewestStep(), 10);
    EXPECT_TRUE(fs::exists(Path(20) + ".tmp")) << fault;
    RemoveUnfinished(run(), 20);
    EXPECT_FALSE(fs::exists(Path(20) + ".tmp")) << fault;
    EXPECT_EQ(ReadBytes(CheckpointsFolder(run()) + "/latest"), "step_000010\n");
  }
}

TEST_F(CheckpointTest, OptimizerOfAnotherModelIsRefused) {
  Parts parts(1);
  parts.Save(run(), StateOf(10));
  World world = MakeSingleWorld();
  ModelStorage storage(*world.data);
  const auto model = BuildModel(ParseModelConfig(TinyGpt2Json(), "test"), storage);
  AdamW optimizer(OptimizerConfig(), storage);
  EXPECT_THAT(MessageOf(ErrorKind::kBadData,
                        [&] {
                          LoadMoment(Path(10), Moment::kExpAvg, storage,
                                     optimizer.moment(Moment::kExpAvg));
                        }),
              HasSubstr("lacks tensor exp_avg."));
}

TEST_F(CheckpointTest, CompanionsAreTheTokenizersFiles) {
  CreateFolders(folder_ / "model");
  WriteBytes(folder_ / "model/tokenizer.json", "T");
  WriteBytes(folder_ / "model/generation_config.json", "G");
  WriteBytes(folder_ / "model/README.md", "R");
  const CompanionFiles files = ReadCompanionFiles(folder_ / "model", folder_ / "model");
  EXPECT_EQ(files, (CompanionFiles{{"tokenizer.json", "T"}, {"generation_config.json", "G"}}));
  EXPECT_THAT(MessageOf(ErrorKind::kBadData, [&] { ReadCompanionFiles("", folder_ / "no"); }),
              HasSubstr("not a folder"));
}

class SavingRunTest : public TrainingTest {};

// A full disk during training: exit kind 74 on all ranks, the former checkpoint loads, and with
// space the run goes on to the same end.
TEST_F(SavingRunTest, NoSpaceWhileTraining) {
  TrainConfig config = Config();
  config.checkpoint.every_steps = 5;
  TrainConfig whole = Config("whole");
  const TrainSummary expected = Train(whole);
  // Everything fails from the second checkpoint on: the first takes that many calls.
  SetFaults("checkpoint.begin@10=throw");
  MessageOf(ErrorKind::kInternal, [&] { Train(config); });
  SetFaults("durable_file.write@3+:0=errno:ENOSPC");
  EXPECT_THAT(MessageOf(ErrorKind::kIo, [&] { Train(config); }), HasSubstr("step_000010"));
  SetFaults("");
  std::vector<std::string> problems;
  EXPECT_EQ(FindNewestComplete(config.output, problems)->step, 5);
  EXPECT_TRUE(Bytes(Train(config).last_checkpoint) == Bytes(expected.last_checkpoint));
}

}  // namespace
}  // namespace breakeven
