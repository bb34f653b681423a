// What must not change what a run learns: ranks, micro-batches, buckets, being stopped and resumed,
// shards.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "comm/host_memory.h"
#include "tests/comm/shared_memory_world.h"
#include "tests/trainer/training/training_fixture.h"
#include "trainer/autograd/aten_only.h"
#include "trainer/checkpoint/run_folder.h"
#include "trainer/training_run.h"
#include "trainer/training_session.h"

namespace breakeven {
namespace {

using testing::HasSubstr;

struct Variant {
  const char* name;
  bool shared_memory;  // back end
  bool shard;
  const char* activation_checkpointing;
  bool aten_only;  // the way of GPUs (trainer/autograd/aten_only.h)
};

// Every test of this suite runs in every variant.
class InvarianceTest : public TrainingTest, public testing::WithParamInterface<Variant> {
 protected:
  InvarianceTest() {
    if (GetParam().aten_only) aten_only_ = std::make_unique<AtenOnly>();
  }
  TrainConfig Config(const std::string& output = "run") const {
    TrainConfig config = TrainingTest::Config(output);
    config.optimizer.shard = GetParam().shard;
    config.activation_checkpointing = GetParam().activation_checkpointing;
    return config;
  }

  static TrainSummary Train(const TrainConfig& config, int world_size = 1) {
    if (!GetParam().shared_memory) return TrainingTest::Train(config, world_size);
    return TrainingTest::Train(config, world_size, [](int size, const auto& body) {
      RunSharedMemoryWorld(size, {}, body);
    });
  }

 private:
  std::unique_ptr<AtenOnly> aten_only_;
};

TEST_P(InvarianceTest, TwiceTheSameIsBitEqual) {
  for (const int world_size : {1, 2}) {
    std::vector<std::string> bytes;
    for (const char* output : {"a", "b"}) {
      TrainConfig config = Config(output + std::to_string(world_size));
      bytes.push_back(Bytes(Train(config, world_size).last_checkpoint));
    }
    EXPECT_TRUE(bytes[0] == bytes[1]) << world_size << " ranks";
  }
}

// 1 rank × about 4 micro-batches, 2 × 2, 4 × 1 and 3 ranks with uneven shares: the same batches,
// equal to rounding.
TEST_P(InvarianceTest, RanksAndMicroBatchesChangeNothing) {
  for (const std::string& model : {TinyLlamaJson(true), TinyLlamaJson(false), TinyGpt2Json()}) {
    WriteBytes(folder_ / "config.json", model);
    TrainConfig one = Config("one");
    std::filesystem::remove_all(one.output);
    one.batching.micro_batch_examples = 3;
    Train(one, 1);
    const std::vector<nlohmann::json> expected = Metrics(one, "step");
    ASSERT_EQ(expected.size(), 20u);
    struct Shape {
      int ranks;
      int64_t examples;
      int64_t bucket_bytes;
    };
    for (const Shape& shape : {Shape{2, 3, 4096}, Shape{4, 3, 1 << 20}, Shape{3, 0, 16384}}) {
      TrainConfig many = Config("many");
      std::filesystem::remove_all(many.output);
      many.batching.micro_batch_examples = shape.examples;
      many.batching.micro_batch_tokens = 200;
      many.bucket_bytes = shape.bucket_bytes;
      Train(many, shape.ranks);
      const std::vector<nlohmann::json> found = Metrics(many, "step");
      ASSERT_EQ(found.size(), 20u);
      for (size_t step = 0; step < found.size(); ++step) {
        const double a = expected[step]["loss"];
        const double b = found[step]["loss"];
        EXPECT_LE(std::abs(a - b), 1e-5 * std::max(1.0, a))
            << shape.ranks << " ranks, step " << step;
        EXPECT_EQ(expected[step]["target_tokens"], found[step]["target_tokens"]);
        EXPECT_EQ(expected[step]["tokens"], found[step]["tokens"]);
      }
    }
  }
}

TEST_P(InvarianceTest, ResumeIsBitEqual) {
  for (const int world_size : {1, 2}) {
    TrainConfig whole = Config("whole" + std::to_string(world_size));
    whole.validation.data = folder_ / "dev.h5";
    whole.validation.every_steps = 4;
    const TrainSummary expected = Train(whole, world_size);
    for (const int64_t stop_at : {1, 9, 12}) {
      TrainConfig config = whole;
      config.output = folder_ / ("stopped" + std::to_string(stop_at));
      std::filesystem::remove_all(config.output);
      SetFaults("train.stop_signal@" + std::to_string(stop_at - 1) + ":" +
                std::to_string(world_size - 1) + "=errno:4");
      const std::string message =
          MessageOf(ErrorKind::kSavedRequeue, [&] { Train(config, world_size); });
      EXPECT_THAT(message, HasSubstr("after step " + std::to_string(stop_at) + " of 20"));
      SetFaults("");
      const TrainSummary resumed = Train(config, world_size);
      EXPECT_TRUE(Bytes(expected.last_checkpoint) == Bytes(resumed.last_checkpoint));
      EXPECT_EQ(Losses(whole), Losses(config));
      EXPECT_EQ(expected.best_validation_loss, resumed.best_validation_loss);
      EXPECT_EQ(Metrics(whole, "validation").size(), Metrics(config, "validation").size());
      EXPECT_EQ(resumed.tokens, expected.tokens);
    }
  }
}

TEST_P(InvarianceTest, ResumeOnOtherRanksContinuesWithTheSameBatches) {
  TrainConfig whole = Config("whole");
  Train(whole, 2);
  TrainConfig config = Config("moved");
  SetFaults("train.stop_signal@9=errno:4");
  MessageOf(ErrorKind::kSavedRequeue, [&] { Train(config, 2); });
  SetFaults("");
  Train(config, 3);
  const std::vector<double> expected = Losses(whole);
  const std::vector<double> found = Losses(config);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t step = 0; step < found.size(); ++step) {
    EXPECT_NEAR(found[step], expected[step], 1e-5 * std::max(1.0, expected[step])) << step;
  }
}

TEST_P(InvarianceTest, NonFiniteOnOneRankIsSkippedByAllAlike) {
  for (const int bad_rank : {0, 1}) {
    TrainConfig config = Config("run" + std::to_string(bad_rank));
    SetFaults("train.gradient@6:" + std::to_string(bad_rank) + "=nan");
    const TrainSummary summary =
        Train(config, 2);  // the weights are compared over ranks when it saves
    EXPECT_EQ(summary.skipped_steps, 1);
    const std::vector<nlohmann::json> steps = Metrics(config, "step");
    ASSERT_EQ(steps.size(), 20u);
    EXPECT_TRUE(steps[6].value("skipped", false));
    EXPECT_TRUE(steps[6]["grad_norm"].is_null());
    EXPECT_TRUE(std::isfinite(summary.final_loss));
    const nlohmann::json state =
        nlohmann::json::parse(ReadBytes(summary.last_checkpoint + "/trainer_state/state.json"));
    EXPECT_EQ(state["step"], 20) << "the schedule's count goes on";
    EXPECT_EQ(state["num_updates"], 19) << "Adam's stays";
  }
}

TEST_P(InvarianceTest, ARankWithoutExamplesJoins) {
  TrainConfig config = Config("few");
  config.batching.global_batch.examples = 2;  // three ranks: one has none in every step
  config.max_steps = 6;
  TrainConfig one = config;
  one.output = folder_ / "one";
  Train(config, 3);
  Train(one, 1);
  const std::vector<double> a = Losses(config);
  const std::vector<double> b = Losses(one);
  ASSERT_EQ(a.size(), 6u);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5 * std::max(1.0, b[i]));
}

INSTANTIATE_TEST_SUITE_P(Variants, InvarianceTest,
                         testing::Values(Variant{"Whole", false, false, "none", false},
                                         Variant{"SharedMemory", true, false, "none", false},
                                         Variant{"SharedMemorySharded", true, true, "none", false},
                                         Variant{"ShardedRecomputed", false, true, "full", false},
                                         Variant{"AsOnGpus", false, false, "none", true},
                                         Variant{"AsOnGpusShardedRecomputed", false, true, "full",
                                                 true}),
                         [](const auto& variant) { return variant.param.name; });

class ShardTest : public TrainingTest {
 protected:
  TrainConfig Sharded(const std::string& output) const {
    TrainConfig config = Config(output);
    config.optimizer.shard = true;
    return config;
  }
};

// Without NUMA nodes; with them each rank has its own, as over nodes.
TEST_F(ShardTest, RanksOfOneNodeShareTheWeightsAndByDefaultShard) {
  for (const std::vector<int>& node_of : {std::vector<int>{0, 0}, {0, 1}}) {
    RunSharedMemoryWorld(2, {.node_of = node_of}, [&](World& world) {
      TrainingSession session(Sharded("run" + std::to_string(node_of[1])), world, "");
      EXPECT_EQ(session.storage.shared(), node_of[1] == 0 && !HasSeveralNumaNodes());
    });
  }
  TrainConfig config = Config("default");
  RunThreadWorld(2, [&](World& world) {
    TrainingSession session(config, world, "");
    EXPECT_TRUE(session.inputs.shard);
  });
  config.preflight.shared_output = false;  // rank 0 would gather every moment to save it
  config.output = folder_ / "apart";
  RunThreadWorld(2, [&](World& world) {
    TrainingSession session(config, world, "");
    EXPECT_FALSE(session.inputs.shard);
  });
}

// On one node the ranks have one copy of the weights, over nodes one each that they gather.
TEST_F(ShardTest, OneCopyOfTheWeightsOrSeveralGiveTheSameBits) {
  for (const char* precision : {"float32", "bfloat16"}) {
    std::vector<std::string> bytes;
    for (const std::vector<int>& node_of : {std::vector<int>{0, 0, 0}, {0, 1, 2}}) {
      TrainConfig config = Sharded(precision + std::to_string(node_of.back()));
      config.precision = precision;
      config.force_bfloat16 = true;
      config.max_steps = 6;
      bytes.push_back(Bytes(Train(config, 3, [&](int size, const auto& body) {
                              RunSharedMemoryWorld(size, {.node_of = node_of}, body);
                            }).last_checkpoint));
    }
    EXPECT_TRUE(bytes[0] == bytes[1]) << precision;
  }
}

// Odd numbers of ranks too: nothing has to divide anything. The large vocabulary makes the looked-up
// rows go apart from their table.
TEST_F(ShardTest, SameBitsAsWithout) {
  for (const std::string& model :
       {TinyLlamaJson(true), TinyLlamaJson(false), TinyGpt2Json(), TinyLlamaJson(true, 4999)}) {
    WriteBytes(folder_ / "config.json", model);
    for (const int world_size : {1, 2, 3, 5}) {
      TrainConfig whole = Config("whole");
      TrainConfig sharded = Sharded("sharded");
      whole.max_steps = sharded.max_steps = 5;
      std::filesystem::remove_all(whole.output);
      std::filesystem::remove_all(sharded.output);
      EXPECT_TRUE(Bytes(Train(whole, world_size).last_checkpoint) ==
                  Bytes(Train(sharded, world_size).last_checkpoint))
          << world_size << " ranks";
      EXPECT_EQ(Losses(whole), Losses(sharded)) << world_size << " ranks";
    }
  }
}

// Ranks of one node that keep no step with each other, and of two nodes: the same bits as ranks that
// meet at every bucket, where sums are folded in the same order.
TEST_F(ShardTest, SameBitsOnSharedMemory) {
  WriteBytes(folder_ / "config.json", TinyLlamaJson(true, 4999));
  for (const int world_size : {2, 3, 5}) {
    TrainConfig threads = Sharded("threads");
    TrainConfig shared = Sharded("shared");
    threads.max_steps = shared.max_steps = 5;
    std::filesystem::remove_all(threads.output);
    std::filesystem::remove_all(shared.output);
    EXPECT_TRUE(
        Bytes(Train(threads, world_size).last_checkpoint) ==
        Bytes(Train(shared, world_size,
                    [](int size, const auto& body) { RunSharedMemoryWorld(size, {}, body); })
                  .last_checkpoint))
        << world_size << " ranks";
    EXPECT_EQ(Losses(threads), Losses(shared)) << world_size << " ranks";
  }
  TrainConfig whole = Config("whole");
  TrainConfig nodes = Sharded("nodes");
  whole.max_steps = nodes.max_steps = 5;
  const RunWorld on_two_nodes = [](int size, const auto& body) {
    RunSharedMemoryWorld(size, {.node_of = {0, 0, 1, 1}}, body);
  };
  EXPECT_TRUE(Bytes(Train(whole, 4, on_two_nodes).last_checkpoint) ==
              Bytes(Train(nodes, 4, on_two_nodes).last_checkpoint));
}

// Sharded on 3, then whole on 3, then sharded on 2, then whole on 1: the same batches all the way.
TEST_F(ShardTest, ResumesFromAndToAnything) {
  const TrainConfig reference = Config("reference");
  Train(reference, 3);
  TrainConfig config = Sharded("moved");
  struct Leg {
    int world_size;
    bool shard;
    int64_t stop_at;
  };
  for (const Leg& leg : {Leg{3, true, 5}, Leg{3, false, 9}, Leg{2, true, 14}, Leg{1, false, 20}}) {
    config.optimizer.shard = leg.shard;
    if (leg.stop_at == 20) {
      EXPECT_EQ(Train(config, leg.world_size).steps, 20);
      break;
    }
    SetFaults("train.stop_signal@" + std::to_string(leg.stop_at - 1) + "=errno:4");
    MessageOf(ErrorKind::kSavedRequeue, [&] { Train(config, leg.world_size); });
    SetFaults("");
  }
  const std::vector<double> expected = Losses(reference);
  const std::vector<double> found = Losses(config);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t step = 0; step < 9; ++step) EXPECT_EQ(found[step], expected[step]) << step;
  for (size_t step = 9; step < found.size(); ++step) {
    EXPECT_NEAR(found[step], expected[step], 1e-5 * std::max(1.0, expected[step])) << step;
  }
}

// A disk that fills up while moments are gathered: one error on all ranks, no hang, nothing left.
TEST_F(ShardTest, AFailureBetweenGathersEndsAllRanks) {
  TrainConfig config = Sharded("run");
  config.checkpoint.every_steps = 5;
  SetFaults("durable_file.write@4+:0=errno:ENOSPC");
  EXPECT_THAT(MessageOf(ErrorKind::kIo, [&] { Train(config, 3); }), HasSubstr("step_000005"));
  SetFaults("");
  EXPECT_TRUE(ListCheckpoints(config.output).empty());
  EXPECT_EQ(Train(config, 3).steps, 20);
}

// Kept or computed again: the same bits over whole runs.
TEST_F(ShardTest, ActivationCheckpointingChangesNoBit) {
  for (const std::string& model : {TinyLlamaJson(true), TinyGpt2Json()}) {
    WriteBytes(folder_ / "config.json", model);
    std::string expected;
    for (const char* mode : {"none", "selective", "full"}) {
      TrainConfig config = Config(mode);
      std::filesystem::remove_all(config.output);
      config.max_steps = 6;
      config.activation_checkpointing = mode;
      const std::string found = Bytes(Train(config, 2).last_checkpoint);
      if (expected.empty()) expected = found;
      EXPECT_TRUE(found == expected) << mode;
    }
  }
}

// Every rank's copies for the products are fresh after each update, whoever made it, and what is computed again is
// rounded as it was.
TEST_F(ShardTest, InBFloat16NeitherShardsNorCheckpointingNorAStopChangesABit) {
  const RunWorld on_shared_memory = [](int size, const auto& body) {
    RunSharedMemoryWorld(size, {}, body);
  };
  const auto rounded = [&](const std::string& output, bool shard, const std::string& mode) {
    TrainConfig config = Config(output);
    std::filesystem::remove_all(config.output);
    config.precision = "bfloat16";
    config.force_bfloat16 = true;
    config.max_steps = 6;
    config.optimizer.shard = shard;
    config.activation_checkpointing = mode;
    return config;
  };
  for (const std::string& model : {TinyLlamaJson(true), TinyGpt2Json()}) {
    WriteBytes(folder_ / "config.json", model);
    const std::string expected = Bytes(Train(rounded("whole", false, "none"), 2).last_checkpoint);
    for (const bool shard : {false, true}) {
      for (const std::string mode : {"none", "selective", "full"}) {
        const TrainConfig config = rounded("other", shard, mode);
        EXPECT_TRUE(Bytes(Train(config, 2, on_shared_memory).last_checkpoint) == expected)
            << (shard ? "sharded, " : "whole, ") << mode;
      }
      const TrainConfig stopped = rounded("stopped", shard, "none");
      SetFaults("train.stop_signal@2:1=errno:4");
      MessageOf(ErrorKind::kSavedRequeue, [&] { Train(stopped, 2, on_shared_memory); });
      SetFaults("");
      EXPECT_TRUE(Bytes(Train(stopped, 2, on_shared_memory).last_checkpoint) == expected)
          << (shard ? "sharded" : "whole") << ", stopped after step 3";
    }
  }
}

TEST_F(ShardTest, TrainingApartIsRefused) {
  TrainConfig config = Config();
  config.communicate = false;
  EXPECT_THAT(MessageOf(ErrorKind::kUsage, [&] { Train(config, 2); }), HasSubstr("bench step"));
}

}  // namespace
}  // namespace breakeven
