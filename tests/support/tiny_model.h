// A model folder small enough for tests: the tiny tokenizer and a Llama with random weights.
// Everything in it is a function of the arguments.
#ifndef BREAKEVEN_TESTS_SUPPORT_TINY_MODEL_H_
#define BREAKEVEN_TESTS_SUPPORT_TINY_MODEL_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/tiny_tokenizer.h"
#include "trainer/checkpoint/safetensors.h"
#include "trainer/model/flat_parameters.h"
#include "trainer/model/model.h"

namespace breakeven {

struct TinyModelOptions {
  uint64_t seed = 1;
  int64_t max_positions = 256;
  bool other_tokenizer = false;  // without the merges: texts have more tokens
};

// config.json of the model.
inline std::string TinyConfigJson(const TinyModelOptions& options = {}) {
  const nlohmann::ordered_json config = {
      {"architectures", {"LlamaForCausalLM"}},
      {"model_type", "llama"},
      {"vocab_size", 264},
      {"hidden_size", 32},
      {"intermediate_size", 64},
      {"num_hidden_layers", 2},
      {"num_attention_heads", 4},
      {"num_key_value_heads", 2},
      {"head_dim", 8},
      {"max_position_embeddings", options.max_positions},
      {"rms_norm_eps", 1e-5},
      {"rope_theta", 10000.0},
      {"hidden_act", "silu"},
      {"tie_word_embeddings", true},
      // Large, so that likelihoods of different texts lie far apart.
      {"initializer_range", 0.3},
      {"bos_token_id", 262},
      {"eos_token_id", 263}};
  return config.dump(2);
}

// Creates `folder` with tokenizer.json, tokenizer_config.json, config.json and model.safetensors.
inline void WriteTinyModel(const std::string& folder, const TinyModelOptions& options = {}) {
  WriteTinyTokenizer(folder, !options.other_tokenizer);
  tiny_model::Write(folder, "config.json", TinyConfigJson(options));
  ModelStorage storage;
  const std::unique_ptr<Model> model = BuildModel(ReadModelConfig(folder), storage);
  InitializeWeights(*model, options.seed);
  std::vector<TensorToWrite> tensors;
  for (const NamedParameter& parameter : model->parameters()) {
    const at::IntArrayRef sizes = parameter.tensor.sizes();
    tensors.push_back({parameter.name,
                       "F32",
                       {sizes.begin(), sizes.end()},
                       parameter.tensor.const_data_ptr<float>()});
  }
  WriteSafetensors((std::filesystem::path(folder) / "model.safetensors").string(), tensors);
}

}  // namespace breakeven

#endif  // BREAKEVEN_TESTS_SUPPORT_TINY_MODEL_H_
