// A training run small enough for tests: tiny random models, ragged examples with unequal masks,
// ranks as threads.
#ifndef BREAKEVEN_TESTS_TRAINER_TRAINING_TRAINING_FIXTURE_H_
#define BREAKEVEN_TESTS_TRAINER_TRAINING_TRAINING_FIXTURE_H_

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/base/fault_injection.h"
#include "comm/base/log.h"
#include "comm/world.h"
#include "tests/data_pipeline/dataset_fixture.h"
#include "trainer/checkpoint/moment_parts.h"
#include "trainer/model/model.h"
#include "trainer/training_run.h"

namespace breakeven {

inline constexpr int64_t kTinyVocab = 97;

inline std::string TinyLlamaJson(bool tied = true, int64_t vocab_size = kTinyVocab) {
  return nlohmann::json{{"model_type", "llama"},         {"architectures", {"LlamaForCausalLM"}},
                        {"vocab_size", vocab_size},      {"hidden_size", 32},
                        {"intermediate_size", 48},       {"num_hidden_layers", 2},
                        {"num_attention_heads", 4},      {"num_key_value_heads", 2},
                        {"max_position_embeddings", 64}, {"rms_norm_eps", 1e-5},
                        {"rope_theta", 10000.0},         {"hidden_act", "silu"},
                        {"tie_word_embeddings", tied},   {"initializer_range", 0.1}}
      .dump();
}

inline std::string TinyGpt2Json() {
  return nlohmann::json{{"model_type", "gpt2"},
                        {"architectures", {"GPT2LMHeadModel"}},
                        {"vocab_size", kTinyVocab},
                        {"n_embd", 32},
                        {"n_layer", 2},
                        {"n_head", 4},
                        {"n_positions", 64},
                        {"layer_norm_epsilon", 1e-5},
                        {"activation_function", "gelu_new"},
                        {"resid_pdrop", 0.0},
                        {"embd_pdrop", 0.0},
                        {"attn_pdrop", 0.0},
                        {"initializer_range", 0.1}}
      .dump();
}

class TrainingTest : public testing::Test {
 protected:
  TrainingTest() {
    SetLogQuiet(true);
    WriteBytes(folder_ / "config.json", TinyLlamaJson());
    WriteDataset("train.h5", 120, 7);
    WriteDataset("dev.h5", 30, 8);
  }
  ~TrainingTest() override { SetFaults(""); }

  void WriteDataset(const std::string& name, size_t num_examples, uint64_t seed,
                    const std::string& template_fingerprint = "fedcba9876543210") {
    TokenDatasetInfo info = MakeInfo(kTinyVocab);
    info.template_fingerprint = template_fingerprint;
    WriteTokenDataset(folder_ / name, info, MakeExamples(num_examples, 40, kTinyVocab, seed));
  }

  // 20 steps of 12 examples: two epochs.
  TrainConfig Config(const std::string& output = "run") const {
    TrainConfig config;
    config.model.config = folder_ / "config.json";
    config.data = folder_ / "train.h5";
    config.output = folder_ / output;
    config.seed = 3;
    config.max_steps = 20;
    config.batching.global_batch.examples = 12;
    config.batching.micro_batch_tokens = 90;
    config.optimizer.learning_rate = 3e-3;
    config.schedule.warmup_steps = 3;
    config.bucket_bytes = 16384;
    config.log_every_steps = 1;
    config.threads = 1;
    config.precision = "float32";  // auto would depend on this machine
    return config;
  }

  using RunWorld = std::function<void(int, const std::function<void(World&)>&)>;

  // Runs as threads; the summary is rank 0's.
  static TrainSummary Train(const TrainConfig& config, int world_size = 1,
                            const RunWorld& run_world = RunThreadWorld) {
    TrainSummary summary;
    run_world(world_size, [&](World& world) {
      const TrainSummary own = RunTraining(config, world);
      if (world.is_root()) summary = own;
    });
    return summary;
  }

  static std::vector<nlohmann::json> Metrics(const TrainConfig& config, const std::string& event) {
    std::vector<nlohmann::json> lines;
    std::ifstream file(config.output + "/metrics.jsonl");
    for (std::string line; std::getline(file, line);) {
      nlohmann::json json = nlohmann::json::parse(line);
      if (json["event"] == event) lines.push_back(std::move(json));
    }
    return lines;
  }

  static std::vector<double> Losses(const TrainConfig& config) {
    std::vector<double> losses;
    for (const nlohmann::json& line : Metrics(config, "step")) {
      losses.push_back(line["loss"].get<double>());
    }
    return losses;
  }

  // All bytes of a checkpoint's weights and moments, however many ranks have written them.
  static std::string Bytes(const std::string& checkpoint) {
    std::string bytes = ReadBytes(checkpoint + "/model.safetensors");
    World world = MakeSingleWorld();
    ModelStorage storage(*world.data);
    const auto model = BuildModel(ReadModelConfig(checkpoint), storage);
    const at::Tensor moment_P = at::zeros_like(storage.parameters_P);
    for (const Moment moment : {Moment::kExpAvg, Moment::kExpAvgSq}) {
      LoadMoment(checkpoint, moment, storage, moment_P);
      bytes.append(static_cast<const char*>(moment_P.const_data_ptr()), moment_P.nbytes());
    }
    return bytes;
  }

  const TempFolder folder_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TESTS_TRAINER_TRAINING_TRAINING_FIXTURE_H_
