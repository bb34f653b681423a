// Pure. The architecture of a model: config.json of a Hugging Face folder, read strictly.
#ifndef BREAKEVEN_TRAINER_MODEL_MODEL_CONFIG_H_
#define BREAKEVEN_TRAINER_MODEL_MODEL_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "comm/base/fields.h"

namespace breakeven {

// Llama 3's stretching of rotary frequencies ("rope_type": "llama3").
struct RopeScaling {
  double factor = 1;
  double low_freq_factor = 1;
  double high_freq_factor = 4;
  int64_t original_max_position_embeddings = 8192;
};

struct ModelConfig {
  std::string model_type;  // gpt2 | llama | mistral | qwen2
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t intermediate_size = 0;
  int64_t max_positions = 0;
  double norm_epsilon = 1e-5;
  double rope_theta = 10000;
  std::optional<RopeScaling> rope_scaling;
  bool attention_bias = false;         // q, k, v
  bool attention_output_bias = false;  // o
  bool mlp_bias = false;
  bool tied_head = true;
  double initializer_range = 0.02;
  double dropout = 0;    // the largest that the file asks for. Never applied: fine-tuning here runs
                         // without dropout
  std::string raw_json;  // the file's text: written back to checkpoints with only what changed

  int64_t num_parameters() const;  // a tied head counts once
};

// Error(kBadData) naming file, key, found and supported: unknown model_type, activation, sliding
// window shorter than the context, rope types that are not built, sizes that do not divide.
ModelConfig ReadModelConfig(const std::string& folder);
ModelConfig ParseModelConfig(std::string_view json, std::string_view where);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_MODEL_MODEL_CONFIG_H_
