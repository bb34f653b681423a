// Tiny models with random weights in every parameter, and packed input for them.
#ifndef BREAKEVEN_TESTS_TRAINER_MODEL_MODEL_FIXTURE_H_
#define BREAKEVEN_TESTS_TRAINER_MODEL_MODEL_FIXTURE_H_

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "trainer/model/flat_parameters.h"
#include "trainer/model/model.h"

namespace breakeven::model_fixture {

inline constexpr int64_t kVocabulary = 61;

inline std::string Gpt2Json() {
  return R"({"model_type": "gpt2", "vocab_size": 61, "n_embd": 24, "n_layer": 2, "n_head": 3,
             "n_positions": 32})";
}
// Grouped keys and values, own head.
inline std::string LlamaJson() {
  return R"({"model_type": "llama", "vocab_size": 61, "hidden_size": 24, "intermediate_size": 40,
             "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 2,
             "head_dim": 8, "max_position_embeddings": 32, "rms_norm_eps": 1e-5,
             "tie_word_embeddings": false})";
}
// Biases of q, k, v; tied head.
inline std::string Qwen2Json() {
  return R"({"model_type": "qwen2", "vocab_size": 61, "hidden_size": 24, "intermediate_size": 40,
             "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
             "max_position_embeddings": 32, "rms_norm_eps": 1e-5, "tie_word_embeddings": true})";
}

struct Built {
  std::unique_ptr<ModelStorage> storage = std::make_unique<ModelStorage>();
  std::unique_ptr<Model> model;
};

inline Built Build(const std::string& json) {
  Built built;
  built.model = BuildModel(ParseModelConfig(json, "config.json"), *built.storage);
  return built;
}

// Biases and norms too, which a fresh model has at 0 and 1 where mistakes would not show.
inline Built BuildRandom(const std::string& json) {
  Built built = Build(json);
  const c10::NoGradGuard no_gradients;
  at::manual_seed(5);
  for (const NamedParameter& parameter : built.model->parameters()) {
    const double center =
        parameter.name.ends_with("norm.weight") || parameter.name.find("ln_") != std::string::npos
            ? 1
            : 0;
    parameter.tensor.copy_(at::randn(parameter.tensor.sizes()) * 0.15 + center);
  }
  return built;
}

// The same weights, in products rounded to bfloat16.
inline Built BuildRounded(const std::string& json, const Built& exact) {
  Built built;
  built.storage->product_type = at::kBFloat16;
  built.model = BuildModel(ParseModelConfig(json, "config.json"), *built.storage);
  const c10::NoGradGuard no_gradients;
  built.storage->parameters_P.copy_(exact.storage->parameters_P);
  RefreshCopies(*built.storage);
  return built;
}

inline at::Tensor Int64s(const std::vector<int64_t>& values) {
  return at::tensor(values, at::kLong);
}

// Segment b is tokens[b] at positions first[b]…; first may be left out: all 0.
inline PackedInput Pack(const std::vector<std::vector<int64_t>>& tokens,
                        const std::vector<int64_t>& first = {}) {
  PackedInput input;
  std::vector<int64_t> all, positions;
  input.segment_starts = {0};
  for (size_t b = 0; b < tokens.size(); ++b) {
    for (size_t i = 0; i < tokens[b].size(); ++i) {
      all.push_back(tokens[b][i]);
      positions.push_back((first.empty() ? 0 : first[b]) + static_cast<int64_t>(i));
    }
    input.segment_starts.push_back(static_cast<int64_t>(all.size()));
  }
  input.tokens_T = Int64s(all);
  input.positions_T = Int64s(positions);
  return input;
}

// Some text of `length` tokens; other for every `seed`.
inline std::vector<int64_t> Text(int64_t length, int64_t seed) {
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < length; ++i) {
    tokens.push_back((i * i * 7 + i * (seed + 3) + seed * 13) % kVocabulary);
  }
  return tokens;
}

// ‖a - b‖ / ‖b‖ in float64, where ‖b‖ counts as at least `floor`.
inline double RelativeDistance(const at::Tensor& a, const at::Tensor& b, double floor = 1e-30) {
  const double norm = b.detach().to(at::kDouble).norm().item<double>();
  const at::Tensor difference = a.detach().to(at::kDouble) - b.detach().to(at::kDouble);
  return difference.norm().item<double>() / std::max(norm, floor);
}

}  // namespace breakeven::model_fixture

#endif  // BREAKEVEN_TESTS_TRAINER_MODEL_MODEL_FIXTURE_H_
