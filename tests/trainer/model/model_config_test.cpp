// Pure. config.json: what is read, and that nothing unsupported passes silently.
#include "trainer/model/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "comm/base/error.h"

namespace breakeven {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

Json Llama() {
  return {{"model_type", "llama"},      {"vocab_size", 100},
          {"hidden_size", 24},          {"intermediate_size", 40},
          {"num_hidden_layers", 2},     {"num_attention_heads", 6},
          {"num_key_value_heads", 2},   {"head_dim", 8},
          {"rms_norm_eps", 1e-5},       {"max_position_embeddings", 512},
          {"tie_word_embeddings", true}};
}

Json Gpt2() {
  return {{"model_type", "gpt2"}, {"vocab_size", 100}, {"n_embd", 24},
          {"n_layer", 2},         {"n_head", 3},       {"n_positions", 64}};
}

Json With(Json config, const std::string& key, const Json& value) {
  config[key] = value;
  return config;
}

Json Of(const std::string& model_type) {
  if (model_type == "gpt2") return Gpt2();
  Json config = With(Llama(), "model_type", model_type);
  if (model_type == "mistral") config["sliding_window"] = nullptr;
  return config;
}

ModelConfig Parse(const Json& json) { return ParseModelConfig(json.dump(), "a/config.json"); }

std::string ErrorOf(const std::string& json) {
  try {
    ParseModelConfig(json, "a/config.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadData) << error.what();
    return error.what();
  }
  return "accepted";
}

TEST(ModelConfigTest, ReadsLlama) {
  const ModelConfig config = Parse(With(Llama(), "rope_theta", 100000));
  EXPECT_EQ(config.model_type, "llama");
  EXPECT_EQ(config.vocab_size, 100);
  EXPECT_EQ(config.hidden_size, 24);
  EXPECT_EQ(config.intermediate_size, 40);
  EXPECT_EQ(config.num_layers, 2);
  EXPECT_EQ(config.num_heads, 6);
  EXPECT_EQ(config.num_kv_heads, 2);
  EXPECT_EQ(config.head_dim, 8);
  EXPECT_EQ(config.max_positions, 512);
  EXPECT_EQ(config.norm_epsilon, 1e-5);
  EXPECT_EQ(config.rope_theta, 100000);
  EXPECT_FALSE(config.rope_scaling.has_value());
  EXPECT_FALSE(config.attention_bias || config.attention_output_bias || config.mlp_bias);
  EXPECT_TRUE(config.tied_head);
  EXPECT_EQ(config.dropout, 0);
  EXPECT_EQ(config.raw_json, With(Llama(), "rope_theta", 100000).dump());
  // 2 layers of q 24·48, k and v 24·16 each, o 48·24, 3 matrices 24·40, 2 norms; last norm;
  // embedding.
  EXPECT_EQ(config.num_parameters(),
            2 * (1152 + 2 * 384 + 1152 + 3 * 960 + 2 * 24) + 24 + 100 * 24);
  EXPECT_EQ(Parse(With(Llama(), "tie_word_embeddings", false)).num_parameters(),
            config.num_parameters() + 100 * 24);
}

TEST(ModelConfigTest, ReadsGpt2) {
  const ModelConfig config = Parse(Gpt2());
  EXPECT_EQ(config.model_type, "gpt2");
  EXPECT_EQ(config.num_kv_heads, 3);
  EXPECT_EQ(config.head_dim, 8);
  EXPECT_EQ(config.intermediate_size, 96);
  EXPECT_EQ(config.max_positions, 64);
  EXPECT_TRUE(config.tied_head);
  EXPECT_TRUE(config.attention_bias && config.attention_output_bias && config.mlp_bias);
  EXPECT_EQ(config.dropout, 0.1);
  // c_attn, c_proj, c_fc, c_proj with biases and 2 norms of 2·24; last norm; both embeddings.
  EXPECT_EQ(config.num_parameters(),
            2 * (24 * 72 + 72 + 24 * 24 + 24 + 2 * 24 * 96 + 96 + 24 + 4 * 24) + 2 * 24 + 100 * 24 +
                64 * 24);
  EXPECT_EQ(Parse(With(Gpt2(), "n_inner", 50)).intermediate_size, 50);
  EXPECT_EQ(Parse(With(Gpt2(), "n_inner", nullptr)).intermediate_size, 96);
}

TEST(ModelConfigTest, FamiliesDifferInBiases) {
  EXPECT_FALSE(Parse(Of("mistral")).attention_bias);
  EXPECT_TRUE(Parse(Of("qwen2")).attention_bias);
  EXPECT_FALSE(Parse(Of("qwen2")).attention_output_bias);
  const ModelConfig llama = Parse(With(Llama(), "attention_bias", true));
  EXPECT_TRUE(llama.attention_bias && llama.attention_output_bias);
  EXPECT_TRUE(Parse(With(Llama(), "mlp_bias", true)).mlp_bias);
}

TEST(ModelConfigTest, AbsentKeysMeanWhatTheyMeanInTransformers) {
  Json bare = Llama();
  for (const char* key :
       {"num_key_value_heads", "head_dim", "rms_norm_eps", "tie_word_embeddings"}) {
    bare.erase(key);
  }
  const ModelConfig config = Parse(bare);
  EXPECT_EQ(config.num_kv_heads, 6);
  EXPECT_EQ(config.head_dim, 4);
  EXPECT_EQ(config.norm_epsilon, 1e-6);
  EXPECT_FALSE(config.tied_head);
  EXPECT_EQ(config.rope_theta, 10000);
  bare["model_type"] = "mistral";  // 8 key/value heads there, which 6 heads cannot have
  bare["sliding_window"] = nullptr;
  EXPECT_THAT(ErrorOf(bare.dump()), HasSubstr("num_key_value_heads"));
}

TEST(ModelConfigTest, RopeScalingOfBothWritings) {
  const Json llama3 = {{"rope_type", "llama3"},
                       {"factor", 8.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0},
                       {"original_max_position_embeddings", 128}};
  const ModelConfig old = Parse(With(With(Llama(), "rope_scaling", llama3), "rope_theta", 500000));
  Json parameters = llama3;
  parameters["rope_theta"] = 500000.0;
  const ModelConfig now = Parse(With(Llama(), "rope_parameters", parameters));
  for (const ModelConfig* config : {&old, &now}) {
    EXPECT_EQ(config->rope_theta, 500000);
    ASSERT_TRUE(config->rope_scaling.has_value());
    EXPECT_EQ(config->rope_scaling->factor, 8);
    EXPECT_EQ(config->rope_scaling->low_freq_factor, 1);
    EXPECT_EQ(config->rope_scaling->high_freq_factor, 4);
    EXPECT_EQ(config->rope_scaling->original_max_position_embeddings, 128);
  }
  EXPECT_FALSE(
      Parse(With(Llama(), "rope_parameters", {{"rope_type", "default"}})).rope_scaling.has_value());
  EXPECT_FALSE(Parse(With(Llama(), "rope_scaling", nullptr)).rope_scaling.has_value());
}

TEST(ModelConfigTest, WindowsAsLongAsTheContextAreNone) {
  EXPECT_EQ(Parse(With(Of("mistral"), "sliding_window", 512)).max_positions, 512);
  EXPECT_EQ(Parse(With(Of("qwen2"), "sliding_window", 16)).max_positions, 512)
      << "use_sliding_window is off";
}

struct BadCase {
  std::string model_type;
  std::string key;
  Json value;
  std::string named;  // beside the file and the key
};

class BadConfigTest : public testing::TestWithParam<BadCase> {};

TEST_P(BadConfigTest, IsANamedError) {
  const BadCase& bad = GetParam();
  Json config = Of(bad.model_type);
  ASSERT_EQ(ErrorOf(config.dump()), "accepted");
  config[bad.key] = bad.value;
  const std::string message = ErrorOf(config.dump());
  EXPECT_THAT(message, HasSubstr("a/config.json"));
  EXPECT_THAT(message, HasSubstr(bad.key));
  EXPECT_THAT(message, HasSubstr(bad.named));
}

const Json kHalfLlama3 = {{"rope_type", "llama3"}, {"factor", 8.0}};
const Json kTwistedLlama3 = {{"rope_type", "llama3"},
                             {"factor", 8.0},
                             {"low_freq_factor", 4.0},
                             {"high_freq_factor", 4.0},
                             {"original_max_position_embeddings", 128}};

INSTANTIATE_TEST_SUITE_P(
    Values, BadConfigTest,
    testing::Values(
        BadCase{"llama", "model_type", "gemma2", "gpt2, llama, mistral, qwen2"},
        BadCase{"llama", "model_type", 3, "string"},
        BadCase{"llama", "model_type", nullptr, "missing"},
        BadCase{"llama", "hidden_act", "gelu", "silu"},
        BadCase{"llama", "hidden_size", 0, "positive"},
        BadCase{"llama", "hidden_size", -24, "positive"},
        BadCase{"llama", "hidden_size", 24.5, "24.5"},
        BadCase{"llama", "hidden_size", "24", "positive"},
        BadCase{"llama", "vocab_size", int64_t{1} << 60, "positive"},
        BadCase{"llama", "vocab_size", nullptr, "missing"},
        BadCase{"llama", "num_key_value_heads", 4, "does not divide"},
        BadCase{"llama", "head_dim", 7, "odd"}, BadCase{"llama", "mlp_bias", "no", "true or false"},
        BadCase{"llama", "rms_norm_eps", -1, "number"},
        BadCase{"llama", "rope_theta", 0, "above 0"},
        BadCase{"llama", "rope_scaling", "llama3", "object"},
        BadCase{"llama", "rope_scaling", {{"rope_type", "yarn"}}, "yarn"},
        BadCase{"llama", "rope_scaling", {{"type", "linear"}, {"factor", 2}}, "linear"},
        BadCase{"llama", "rope_scaling", kHalfLlama3, "low_freq_factor"},
        BadCase{"llama", "rope_parameters", kTwistedLlama3, "high_freq_factor"},
        BadCase{"llama", "partial_rotary_factor", 0.5, "0.5"},
        BadCase{"llama", "quantization_config", {{"bits", 4}}, "not supported"},
        BadCase{"llama", "embedding_multiplier", 2.0, "not supported"},
        BadCase{"llama", "final_logit_softcapping", 30.0, "not supported"},
        BadCase{"llama", "num_local_experts", 8, "not supported"},
        BadCase{"llama", "layer_types", {"full_attention", "linear_attention"}, "linear_attention"},
        BadCase{"mistral", "sliding_window", 128, "128"},
        BadCase{"mistral", "attention_bias", true, "false"},
        BadCase{"qwen2", "attention_bias", false, "true"},
        BadCase{"gpt2", "activation_function", "relu", "gelu_new"},
        BadCase{"gpt2", "activation_function", "gelu", "gelu_new"},
        BadCase{"gpt2", "n_head", 5, "multiple"},
        BadCase{"gpt2", "scale_attn_weights", false, "true"},
        BadCase{"gpt2", "scale_attn_by_inverse_layer_idx", true, "false"},
        BadCase{"gpt2", "add_cross_attention", true, "not supported"}));

TEST(ModelConfigTest, QwenWindowsCountOnlyWhenSwitchedOn) {
  const Json on = With(With(Of("qwen2"), "use_sliding_window", true), "sliding_window", 16);
  EXPECT_THAT(ErrorOf(on.dump()), HasSubstr("sliding_window"));
}

// Printing it in the message would take a call a level, and the stack has an end.
TEST(ModelConfigTest, RefusesNestingWithoutEnd) {
  constexpr size_t kLevels = 300'000;
  const std::string nested = std::string(kLevels, '[') + std::string(kLevels, ']');
  try {
    ParseModelConfig(R"({"model_type":"llama","vocab_size":)" + nested + "}", "config.json");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadData);
    EXPECT_THAT(error.what(), HasSubstr("nested deeper"));
  }
}

TEST(ModelConfigTest, RefusesWhatIsNoObject) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("not JSON"));
  EXPECT_THAT(ErrorOf(R"({"model_type": )"), HasSubstr("not JSON"));
  EXPECT_THAT(ErrorOf("[1, 2]"), HasSubstr("object"));
  EXPECT_THAT(ErrorOf("{}"), HasSubstr("model_type"));
  EXPECT_NE(ErrorOf(R"({"model_type": "llama"})"), "accepted");
}

}  // namespace
}  // namespace breakeven
