#include "trainer/checkpoint_saver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/comm/shared_memory_world.h"
#include "tests/trainer/training/training_fixture.h"
#include "trainer/checkpoint/run_folder.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class CheckpointSaverTest : public TrainingTest {
 protected:
  static std::vector<std::string> FilesOf(const std::string& folder) {
    std::vector<std::string> names;
    for (const auto& item : fs::directory_iterator(folder)) {
      names.push_back(item.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
};

// Beside training or not, sharded or not, on any number of ranks: the same run, the same bits.
TEST_F(CheckpointSaverTest, BackgroundChangesNothing) {
  for (const int world_size : {1, 2, 3}) {
    TrainConfig whole = Config("whole" + std::to_string(world_size));
    const std::string expected = Bytes(Train(whole, world_size).last_checkpoint);
    for (const bool shard : {false, true}) {
      for (const bool asynchronous : {false, true}) {
        TrainConfig config = Config("run" + std::to_string(world_size) + (shard ? "s" : "u") +
                                    (asynchronous ? "a" : "w"));
        config.optimizer.shard = shard;
        config.checkpoint.asynchronous = asynchronous;
        config.checkpoint.every_steps = 3;
        config.checkpoint.keep_last = 9;
        SCOPED_TRACE(config.output);
        const TrainSummary summary = Train(config, world_size);
        EXPECT_TRUE(Bytes(summary.last_checkpoint) == expected);
        EXPECT_EQ(Losses(config), Losses(whole));
        EXPECT_EQ(CheckpointsOf(config.output).size(), 7u);
        EXPECT_EQ(Metrics(config, "checkpoint").size(), 7u);
        TrainConfig resumed = Config(fs::path(config.output).filename().string() + "resumed");
        resumed.resume = config.output + "/checkpoints/step_000009";
        EXPECT_TRUE(Bytes(Train(resumed, world_size).last_checkpoint) == expected);
      }
    }
  }
}

TEST_F(CheckpointSaverTest, WhatIsSavedIsWhatWasThere) {
  for (const bool shard : {false, true}) {
    for (const bool shared_output : {true, false}) {
      TrainConfig config =
          Config(std::string("run") + (shard ? "s" : "") + (shared_output ? "f" : ""));
      config.optimizer.shard = shard;
      config.preflight.shared_output = shared_output;
      config.max_steps = 4;
      SCOPED_TRACE(config.output);
      const std::string trained = Bytes(Train(config, 3).last_checkpoint);
      RunThreadWorld(3, [&](World& world) {
        TrainingSession session(config, world, "");
        TrainingState state = session.state;
        CheckpointSaver saver(session);
        for (const int64_t step : {11, 12}) {  // the second in memory that the first has used
          state.step = step;
          const at::Tensor weights_P = session.storage.parameters_P.clone();
          saver.Begin(state, /*in_background=*/true);
          // As a step's reduction: ranks may share weights, and update them when all have come to it.
          world.control->Barrier();
          session.storage.parameters_P.fill_(7);
          session.buckets->gradient_P().fill_(8);
          const at::Tensor moment_P = session.optimizer->moment(Moment::kExpAvg).clone();
          session.optimizer->moment(Moment::kExpAvg).fill_(9);
          const auto saved = saver.Finish();
          ASSERT_TRUE(saved.has_value());
          EXPECT_EQ(saved->step, step);
          EXPECT_EQ(saved->hash,
                    VerifyCheckpoint(CheckpointsFolder(config.output) + "/" + CheckpointName(step))
                        .Hash());
          session.storage.parameters_P.copy_(weights_P);
          session.optimizer->moment(Moment::kExpAvg).copy_(moment_P);
          world.control->Barrier();
        }
        EXPECT_FALSE(saver.Finish().has_value()) << "nothing is under way";
      });
      for (const int64_t step : {11, 12}) {
        const std::string path = CheckpointsFolder(config.output) + "/" + CheckpointName(step);
        EXPECT_TRUE(Bytes(path) == trained);
        // A third of everything is the weights, which rank 0 writes: no moments are left for it.
        const size_t files = !shared_output ? 1 : shard ? 3 : 2;
        EXPECT_EQ(FilesOf(path + "/trainer_state").size(), files + 1);
      }
    }
  }
}

// Ranks of a node gather by reading each other's memory: nobody may fill it anew while another still reads.
TEST_F(CheckpointSaverTest, AMomentIsGatheredWholeBeforeAnythingElseTakesItsPlace) {
  TrainConfig config = Config();
  config.optimizer.shard = true;
  RunSharedMemoryWorld(2, {}, [&](World& world) {
    TrainingSession session(config, world, "");
    const at::Tensor first = session.optimizer->moment(Moment::kExpAvg);
    const at::Tensor second = session.optimizer->moment(Moment::kExpAvgSq);
    int64_t torn = 0;
    for (int round = 0; round < 2000; ++round) {
      first.fill_(1);
      second.fill_(2);
      const at::Tensor& whole_P = session.WholeMoment(Moment::kExpAvg);
      if (world.is_root()) torn += (whole_P == 2).any().item<bool>();
      session.WholeMoment(Moment::kExpAvgSq);
      if (!world.is_root()) session.buckets->gradient_P().fill_(3);  // the next step's gradients
      if (world.is_root()) torn += (session.buckets->gradient_P() == 3).any().item<bool>();
      world.control->Barrier();
    }
    EXPECT_EQ(torn, 0) << "of 2000 rounds";
  });
}

// Of one rank's thread: all ranks end with it at the next boundary, and nothing half-written stays.
TEST_F(CheckpointSaverTest, AFailureIsEveryRanks) {
  for (const std::string fault :
       {"checkpoint.after_part@6:2=throw", "checkpoint.begin@6:0=throw",
        "checkpoint.before_rename@6:0=throw", "checkpoint.before_manifest@6:0=throw"}) {
    SCOPED_TRACE(fault);
    TrainConfig config = Config("run" + fault.substr(11, 12));
    config.checkpoint.every_steps = 3;
    config.checkpoint.keep_last = 9;
    SetFaults(fault);
    std::atomic<int> failed = 0;
    RunThreadWorld(3, [&](World& world) {
      try {
        RunTraining(config, world);
      } catch (const Error& error) {
        EXPECT_TRUE(error.on_all_ranks());
        EXPECT_THAT(error.what(), HasSubstr("injected fault"));
        ++failed;
      }
    });
    SetFaults("");
    EXPECT_EQ(failed, 3);
    EXPECT_EQ(FilesOf(CheckpointsFolder(config.output)),
              (std::vector<std::string>{"latest", "step_000003"}));
  }
}

// Another failure of all ranks finds a save under way: it is brought to its end first.
TEST_F(CheckpointSaverTest, WhatIsUnderWayIsFinishedBeforeTheRunEnds) {
  TrainConfig config = Config();
  config.optimizer.shard = false;  // weights of its own for each rank
  config.checkpoint.every_steps = 6;
  config.check_replicas_every_steps = 7;
  SetFaults("train.weight_flip@7:1=errno:5");
  EXPECT_THAT(MessageOf(ErrorKind::kInternal, [&] { Train(config, 2); }), HasSubstr("at step 7"));
  EXPECT_EQ(CheckpointsOf(config.output).count("step_000006"), 1u);
}

}  // namespace
}  // namespace breakeven
