// Pure.
#include "trainer/model/model_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/json_depth.h"

namespace breakeven {
namespace {

using Json = nlohmann::json;

// The keys of one config.json, with errors that name it. A null counts as absent, as in
// transformers.
class Keys {
 public:
  Keys(const Json& root, std::string where) : root_(root), where_(std::move(where)) {}

  [[noreturn]] void Fail(const std::string& key, const std::string& what) const {
    throw Error(ErrorKind::kBadData, where_ + ": \"" + key + "\" " + what);
  }
  [[noreturn]] void FailSupported(const std::string& key, const std::string& supported) const {
    Fail(key, "is " + root_.at(key).dump() + "; supported: " + supported);
  }

  const Json* Find(const std::string& key) const {
    const auto found = root_.find(key);
    return found == root_.end() || found->is_null() ? nullptr : &*found;
  }

  int64_t Count(const std::string& key, std::optional<int64_t> absent = std::nullopt) const {
    const Json* value = Find(key);
    if (value == nullptr) {
      if (!absent.has_value()) Fail(key, "is missing; expected a positive whole number");
      return *absent;
    }
    constexpr int64_t kMax = int64_t{1} << 40;  // no product of two sizes overflows
    if (!value->is_number_integer() || value->get<double>() < 1 || value->get<double>() > kMax) {
      Fail(key, "is " + value->dump() + ", expected a positive whole number");
    }
    return value->get<int64_t>();
  }

  double Number(const std::string& key, double absent) const {
    const Json* value = Find(key);
    if (value == nullptr) return absent;
    if (!value->is_number() || !std::isfinite(value->get<double>()) || value->get<double>() < 0) {
      Fail(key, "is " + value->dump() + ", expected a number ≥ 0");
    }
    return value->get<double>();
  }

  bool Flag(const std::string& key, bool absent) const {
    const Json* value = Find(key);
    if (value == nullptr) return absent;
    if (!value->is_boolean()) Fail(key, "is " + value->dump() + ", expected true or false");
    return value->get<bool>();
  }

  std::string Text(const std::string& key, const std::string& absent) const {
    const Json* value = Find(key);
    if (value == nullptr) return absent;
    if (!value->is_string()) Fail(key, "is " + value->dump() + ", expected a string");
    return value->get<std::string>();
  }

  // For switches of which one setting is built.
  void RequireFlag(const std::string& key, bool supported) const {
    if (Flag(key, supported) != supported) FailSupported(key, supported ? "true" : "false");
  }

  const Json& root() const { return root_; }
  const std::string& where() const { return where_; }

 private:
  const Json& root_;
  std::string where_;
};

// Keys of relatives of these families that change the mathematics. A folder that has them is not
// what it says.
void RefuseForeignKeys(const Keys& keys) {
  for (const char* key : {"quantization_config", "embedding_multiplier", "residual_multiplier",
                          "attention_multiplier", "logits_scaling", "attn_logit_softcapping",
                          "final_logit_softcapping", "num_local_experts", "add_cross_attention"}) {
    const Json* value = keys.Find(key);
    if (value != nullptr && *value != false)
      keys.Fail(key, "is set; models with it are not supported");
  }
}

void ReadRopeType(const Json& rope, const Keys& keys, const std::string& key, ModelConfig& config) {
  const Keys inner(rope, keys.where() + ": " + key);
  const std::string type = inner.Text("rope_type", inner.Text("type", "default"));
  if (type != "default" && type != "llama3") {
    inner.Fail(rope.contains("rope_type") ? "rope_type" : "type",
               "is \"" + type + "\"; supported: default, llama3");
  }
  if (inner.Number("partial_rotary_factor", 1) != 1)
    inner.FailSupported("partial_rotary_factor", "1");
  config.rope_theta = inner.Number("rope_theta", config.rope_theta);
  if (type == "default") return;
  for (const char* required :
       {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}) {
    if (inner.Find(required) == nullptr)
      inner.Fail(required, "is missing; rope_type llama3 needs it");
  }
  RopeScaling scaling;
  scaling.factor = inner.Number("factor", 1);
  scaling.low_freq_factor = inner.Number("low_freq_factor", 1);
  scaling.high_freq_factor = inner.Number("high_freq_factor", 4);
  scaling.original_max_position_embeddings = inner.Count("original_max_position_embeddings");
  if (scaling.factor < 1) inner.FailSupported("factor", "a number ≥ 1");
  if (scaling.low_freq_factor <= 0) inner.FailSupported("low_freq_factor", "a number > 0");
  if (scaling.high_freq_factor <= scaling.low_freq_factor) {
    inner.FailSupported("high_freq_factor", "more than low_freq_factor");
  }
  config.rope_scaling = scaling;
}

// transformers ≥ 5 writes one "rope_parameters"; before it, "rope_theta" and "rope_scaling". The
// new one wins, as there.
void ReadRope(const Keys& keys, ModelConfig& config) {
  config.rope_theta = keys.Number("rope_theta", 10000);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const Json* rope = keys.Find(key);
    if (rope == nullptr) continue;
    if (!rope->is_object()) keys.Fail(key, "is " + rope->dump() + ", expected an object or null");
    config.rope_scaling.reset();
    ReadRopeType(*rope, keys, key, config);
  }
  if (keys.Number("partial_rotary_factor", 1) != 1)
    keys.FailSupported("partial_rotary_factor", "1");
  if (!(config.rope_theta > 0)) keys.Fail("rope_theta", "must be above 0");
}

// A window at least as long as the context changes nothing.
void CheckSlidingWindow(const Keys& keys, std::optional<int64_t> window,
                        const ModelConfig& config) {
  if (window.has_value() && *window < config.max_positions) {
    keys.Fail("sliding_window",
              "is " + std::to_string(*window) + ", shorter than max_position_embeddings " +
                  std::to_string(config.max_positions) +
                  "; windowed attention is not supported. If no example is longer than the "
                  "window, set max_position_embeddings to it");
  }
  const Json* layer_types = keys.Find("layer_types");
  if (layer_types == nullptr) return;
  if (!layer_types->is_array()) keys.Fail("layer_types", "is not a list");
  for (const Json& type : *layer_types) {
    const bool windowed = type == "sliding_attention" && window.has_value();
    if (type != "full_attention" && !windowed) {
      keys.Fail("layer_types", "holds " + type.dump() + "; supported: \"full_attention\"");
    }
  }
}

std::optional<int64_t> SlidingWindow(const Keys& keys, const std::string& model_type) {
  const bool absent = !keys.root().contains("sliding_window");
  if (model_type == "mistral") {  // absent means 4096 there, null means none
    if (absent) return 4096;
    return keys.Find("sliding_window") == nullptr ? std::nullopt
                                                  : std::optional(keys.Count("sliding_window"));
  }
  if (model_type == "qwen2" && keys.Flag("use_sliding_window", false)) {
    return keys.Count("sliding_window", 4096);
  }
  return std::nullopt;
}

ModelConfig ParseLlamaFamily(const Keys& keys, const std::string& model_type) {
  ModelConfig config;
  config.model_type = model_type;
  config.vocab_size = keys.Count("vocab_size");
  config.hidden_size = keys.Count("hidden_size");
  config.intermediate_size = keys.Count("intermediate_size");
  config.num_layers = keys.Count("num_hidden_layers");
  config.num_heads = keys.Count("num_attention_heads");
  int64_t absent_kv_heads =
      config.num_heads;  // what transformers' config classes hold where the key is absent
  if (!keys.root().contains("num_key_value_heads")) {
    if (model_type == "mistral") absent_kv_heads = 8;
    if (model_type == "qwen2") absent_kv_heads = 32;
  }
  config.num_kv_heads = keys.Count("num_key_value_heads", absent_kv_heads);
  if (keys.Find("head_dim") == nullptr && config.hidden_size % config.num_heads != 0) {
    keys.Fail("hidden_size", std::to_string(config.hidden_size) +
                                 " is no multiple of num_attention_heads " +
                                 std::to_string(config.num_heads));
  }
  config.head_dim = keys.Count("head_dim", config.hidden_size / config.num_heads);
  config.max_positions = keys.Count("max_position_embeddings");
  config.norm_epsilon = keys.Number("rms_norm_eps", 1e-6);
  config.initializer_range = keys.Number("initializer_range", 0.02);
  config.tied_head = keys.Flag("tie_word_embeddings", false);
  config.dropout = keys.Number("attention_dropout", 0);
  if (model_type == "llama") {
    config.attention_bias = config.attention_output_bias = keys.Flag("attention_bias", false);
    config.mlp_bias = keys.Flag("mlp_bias", false);
  } else {
    config.attention_bias = model_type == "qwen2";
    keys.RequireFlag("attention_bias", config.attention_bias);
    keys.RequireFlag("mlp_bias", false);
  }
  const std::string activation = keys.Text("hidden_act", "silu");
  if (activation != "silu" && activation != "swish") keys.FailSupported("hidden_act", "silu");
  ReadRope(keys, config);
  CheckSlidingWindow(keys, SlidingWindow(keys, model_type), config);
  if (config.head_dim % 2 != 0) {
    keys.Fail("head_dim",
              std::to_string(config.head_dim) + " is odd; rotary positions need an even one");
  }
  return config;
}

ModelConfig ParseGpt2(const Keys& keys) {
  ModelConfig config;
  config.model_type = "gpt2";
  config.vocab_size = keys.Count("vocab_size");
  config.hidden_size = keys.Count("n_embd");
  config.num_layers = keys.Count("n_layer");
  config.num_heads = config.num_kv_heads = keys.Count("n_head");
  if (config.hidden_size % config.num_heads != 0) {
    keys.Fail("n_embd", std::to_string(config.hidden_size) + " is no multiple of n_head " +
                            std::to_string(config.num_heads));
  }
  config.head_dim = config.hidden_size / config.num_heads;
  config.intermediate_size = keys.Count("n_inner", 4 * config.hidden_size);
  config.max_positions = keys.Count("n_positions", 1024);
  config.norm_epsilon = keys.Number("layer_norm_epsilon", 1e-5);
  config.initializer_range = keys.Number("initializer_range", 0.02);
  config.tied_head = keys.Flag("tie_word_embeddings", true);
  config.attention_bias = config.attention_output_bias = config.mlp_bias = true;
  config.dropout = std::max({keys.Number("resid_pdrop", 0.1), keys.Number("embd_pdrop", 0.1),
                             keys.Number("attn_pdrop", 0.1)});
  const std::string activation = keys.Text("activation_function", "gelu_new");
  if (activation != "gelu_new" && activation != "gelu_pytorch_tanh" && activation != "gelu_fast") {
    keys.FailSupported("activation_function", "gelu_new, gelu_pytorch_tanh, gelu_fast");
  }
  keys.RequireFlag("scale_attn_weights", true);
  keys.RequireFlag("scale_attn_by_inverse_layer_idx", false);
  return config;
}

}  // namespace

ModelConfig ParseModelConfig(std::string_view json, std::string_view where) {
  const std::string file(where);
  CheckJsonDepth(json, where);
  Json root;
  try {
    root = Json::parse(json);
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kBadData, file + ": not JSON: " + error.what());
  }
  if (!root.is_object()) throw Error(ErrorKind::kBadData, file + ": expected a JSON object");
  const Keys keys(root, file);
  const std::string model_type = keys.Text("model_type", "");
  if (model_type.empty())
    keys.Fail("model_type", "is missing; supported: gpt2, llama, mistral, qwen2");
  RefuseForeignKeys(keys);
  ModelConfig config;
  if (model_type == "gpt2") {
    config = ParseGpt2(keys);
  } else if (model_type == "llama" || model_type == "mistral" || model_type == "qwen2") {
    config = ParseLlamaFamily(keys, model_type);
  } else {
    keys.FailSupported("model_type", "gpt2, llama, mistral, qwen2");
  }
  if (config.num_heads % config.num_kv_heads != 0) {
    keys.Fail("num_key_value_heads", std::to_string(config.num_kv_heads) +
                                         " does not divide the number of heads, " +
                                         std::to_string(config.num_heads));
  }
  config.raw_json = json;
  return config;
}

ModelConfig ReadModelConfig(const std::string& folder) {
  const std::string path = folder + "/config.json";
  return ParseModelConfig(ReadFile(path), path);
}

int64_t ModelConfig::num_parameters() const {
  const int64_t query = num_heads * head_dim;
  const int64_t key = num_kv_heads * head_dim;
  int64_t layer = hidden_size * (query + 2 * key) + query * hidden_size;  // attention
  if (attention_bias) layer += query + 2 * key;
  if (attention_output_bias) layer += hidden_size;
  const bool gpt2 = model_type == "gpt2";
  layer += (gpt2 ? 2 : 3) * hidden_size * intermediate_size;  // feed-forward
  if (mlp_bias) layer += (gpt2 ? 1 : 2) * intermediate_size + hidden_size;
  const int64_t norm = (gpt2 ? 2 : 1) * hidden_size;
  const int64_t embeddings =
      vocab_size * hidden_size * (tied_head ? 1 : 2) + (gpt2 ? max_positions * hidden_size : 0);
  return embeddings + num_layers * (layer + 2 * norm) + norm;
}

}  // namespace breakeven
