// Llama, and what differs from it only in its config: SmolLM2, Mistral, Qwen2.
//
// Shape suffixes: T tokens, C hidden size, A = (H + 2K)·D queries, keys and values side by side, F
// feed-forward width.
#include <c10/core/GradMode.h>

#include <string>
#include <vector>

#include "trainer/model/cached_attention.h"
#include "trainer/model/decoder.h"
#include "trainer/model/rotary.h"

namespace breakeven {
namespace {

struct Layer {
  NormWeights attention_norm;
  LinearWeights query_key_value;
  LinearWeights attention_output;
  NormWeights mlp_norm;
  LinearWeights gate_up;
  LinearWeights down;
};

class Llama : public Model {
 public:
  Llama(const ModelConfig& config, ModelStorage& storage)
      : config_(config),
        shape_{config.num_heads, config.num_kv_heads, config.head_dim},
        rotary_(config, storage.device),
        table_(storage, gradient_sink()) {
    DeclareParameters();
    table_.Allocate();
    TakeParameters();
  }

  const ModelConfig& config() const override { return config_; }
  std::vector<NamedParameter>& parameters() override { return table_.parameters(); }
  at::Tensor HeadWeight() override {
    return table_[config_.tied_head ? "model.embed_tokens.weight" : "lm_head.weight"];
  }

  at::Tensor HeadCopy() override {
    return table_.CopyOf(config_.tied_head ? "model.embed_tokens.weight" : "lm_head.weight");
  }

  const at::Tensor& TokenTable() override { return embedding_VC_; }
  LookupGradient& lookup_gradient() override { return lookup_gradient_; }

  at::Tensor HiddenStates(const PackedInput& input) override { return Forward(input, nullptr); }

  at::Tensor HiddenStates(const PackedInput& input, KvCache& cache) override {
    const c10::NoGradGuard no_gradients;
    const at::Tensor hidden_TC = Forward(input, &cache);
    AdvanceCache(input, cache);
    return hidden_TC;
  }

 private:
  at::Tensor Forward(const PackedInput& input, KvCache* cache) {
    CheckInput(input, config_, cache);
    const RotaryAngles angles = rotary_.Angles(input.positions_T);
    ResidualStream stream{Embedding(input.tokens_T, embedding_VC_, &lookup_gradient_), {}};
    int64_t index = 0;
    for (const Layer& layer : layers_) {
      const auto block = [this, &layer, angles, input, cache, index](const ResidualStream& in) {
        return Block(layer, in, angles, input, cache, index);
      };
      stream = RunBlock(recompute(), block, stream);
      ++index;
    }
    return ResidualNorm(stream.residual_TC, stream.update_TC, final_norm_).normed_TC;
  }

  ResidualStream Block(const Layer& layer, const ResidualStream& in, const RotaryAngles& angles,
                       const PackedInput& input, KvCache* cache, int64_t index) const {
    auto [stream_TC, attention_input_TC] =
        ResidualNorm(in.residual_TC, in.update_TC, layer.attention_norm);
    const at::Tensor qkv_TA = Linear(attention_input_TC, layer.query_key_value,
                                     NormAgain(recompute(), stream_TC, layer.attention_norm));
    at::Tensor attended_TC =
        cache == nullptr
            ? PackedAttention(qkv_TA, angles, shape_, input.segment_starts, input.starts_B)
            : CachedAttention(qkv_TA, angles, shape_, input.segment_starts, *cache, index);
    if (index + 1 == config_.num_layers && input.rows_R.defined()) {
      stream_TC = SelectRows(stream_TC, input.rows_R);
      attended_TC = SelectRows(attended_TC, input.rows_R);
    }
    const at::Tensor attention_TC = Linear(attended_TC, layer.attention_output);

    const auto [mlp_stream_TC, mlp_input_TC] =
        ResidualNorm(stream_TC, attention_TC, layer.mlp_norm);
    const at::Tensor gate_up_T2F =
        Linear(mlp_input_TC, layer.gate_up, NormAgain(recompute(), mlp_stream_TC, layer.mlp_norm));
    return {mlp_stream_TC, Linear(SwiGlu(gate_up_T2F), layer.down,
                                  ActivationAgain(recompute(), gate_up_T2F, SwiGlu))};
  }

  static std::string Prefix(int64_t layer) { return "model.layers." + std::to_string(layer) + "."; }

  // Order of Model::parameters(). q, k, v and gate, up are neighbours so that each group is one matrix product.
  void DeclareParameters() {
    const int64_t hidden = config_.hidden_size;
    const int64_t query = config_.num_heads * config_.head_dim;
    const int64_t key = config_.num_kv_heads * config_.head_dim;
    const int64_t wide = config_.intermediate_size;
    const auto matrix = [&](const std::string& name, int64_t out, int64_t in) {
      table_.Declare(name + ".weight", {out, in}, /*decays=*/true);
    };
    const auto vector = [&](const std::string& name, int64_t size) {
      table_.Declare(name, {size}, /*decays=*/false);
    };
    for (int64_t i = 0; i < config_.num_layers; ++i) {
      const std::string attention = Prefix(i) + "self_attn.";
      const std::string mlp = Prefix(i) + "mlp.";
      vector(Prefix(i) + "input_layernorm.weight", hidden);
      matrix(attention + "q_proj", query, hidden);
      matrix(attention + "k_proj", key, hidden);
      matrix(attention + "v_proj", key, hidden);
      if (config_.attention_bias) {
        vector(attention + "q_proj.bias", query);
        vector(attention + "k_proj.bias", key);
        vector(attention + "v_proj.bias", key);
      }
      matrix(attention + "o_proj", hidden, query);
      if (config_.attention_output_bias) vector(attention + "o_proj.bias", hidden);
      vector(Prefix(i) + "post_attention_layernorm.weight", hidden);
      matrix(mlp + "gate_proj", wide, hidden);
      matrix(mlp + "up_proj", wide, hidden);
      if (config_.mlp_bias) {
        vector(mlp + "gate_proj.bias", wide);
        vector(mlp + "up_proj.bias", wide);
      }
      matrix(mlp + "down_proj", hidden, wide);
      if (config_.mlp_bias) vector(mlp + "down_proj.bias", hidden);
    }
    vector("model.norm.weight", hidden);
    if (!config_.tied_head) matrix("lm_head", config_.vocab_size, hidden);
    matrix("model.embed_tokens", config_.vocab_size, hidden);
  }

  void TakeParameters() {
    const auto norm = [&](const std::string& name) {
      return NormWeights{NormKind::kRms,       table_[name + ".weight"], {},
                         config_.norm_epsilon, table_.product_type(),    table_.sink()};
    };
    embedding_VC_ = table_["model.embed_tokens.weight"];
    for (int64_t i = 0; i < config_.num_layers; ++i) {
      const std::string attention = Prefix(i) + "self_attn.";
      const std::string mlp = Prefix(i) + "mlp.";
      layers_.push_back(
          {norm(Prefix(i) + "input_layernorm"),
           table_.Linear({attention + "q_proj", attention + "k_proj", attention + "v_proj"},
                         config_.attention_bias),
           table_.Linear({attention + "o_proj"}, config_.attention_output_bias),
           norm(Prefix(i) + "post_attention_layernorm"),
           table_.Linear({mlp + "gate_proj", mlp + "up_proj"}, config_.mlp_bias),
           table_.Linear({mlp + "down_proj"}, config_.mlp_bias)});
    }
    final_norm_ = norm("model.norm");
  }

  const ModelConfig config_;
  const AttentionShape shape_;
  const Rotary rotary_;
  ParameterTable table_;
  at::Tensor embedding_VC_;
  LookupGradient lookup_gradient_;
  std::vector<Layer> layers_;
  NormWeights final_norm_;
};

}  // namespace

std::unique_ptr<Model> BuildLlama(const ModelConfig& config, ModelStorage& storage) {
  return std::make_unique<Llama>(config, storage);
}

}  // namespace breakeven
