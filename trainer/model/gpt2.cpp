// GPT-2.
//
// Shape suffixes: T tokens, C hidden size, A = 3C queries, keys and values side by side, F
// feed-forward width.
#include <c10/core/GradMode.h>

#include <string>
#include <vector>

#include "trainer/model/cached_attention.h"
#include "trainer/model/decoder.h"

namespace breakeven {
namespace {

struct Layer {
  NormWeights attention_norm;
  LinearWeights query_key_value;
  LinearWeights attention_output;
  NormWeights mlp_norm;
  LinearWeights up;
  LinearWeights down;
};

class Gpt2 : public Model {
 public:
  Gpt2(const ModelConfig& config, ModelStorage& storage)
      : config_(config),
        shape_{config.num_heads, config.num_heads, config.head_dim},
        table_(storage, gradient_sink()) {
    DeclareParameters();
    table_.Allocate();
    TakeParameters();
  }

  const ModelConfig& config() const override { return config_; }
  std::vector<NamedParameter>& parameters() override { return table_.parameters(); }
  at::Tensor HeadWeight() override {
    return table_[config_.tied_head ? "transformer.wte.weight" : "lm_head.weight"];
  }

  at::Tensor HeadCopy() override {
    return table_.CopyOf(config_.tied_head ? "transformer.wte.weight" : "lm_head.weight");
  }

  const at::Tensor& TokenTable() override { return token_embedding_VC_; }
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
    ResidualStream stream{
        Embedding(input.tokens_T, token_embedding_VC_, &lookup_gradient_),
        Embedding(input.positions_T, position_embedding_PC_, nullptr, table_.sink())};
    int64_t index = 0;
    for (const Layer& layer : layers_) {
      const auto block = [this, &layer, input, cache, index](const ResidualStream& in) {
        return Block(layer, in, input, cache, index);
      };
      stream = RunBlock(recompute(), block, stream);
      ++index;
    }
    return ResidualNorm(stream.residual_TC, stream.update_TC, final_norm_).normed_TC;
  }

  ResidualStream Block(const Layer& layer, const ResidualStream& in, const PackedInput& input,
                       KvCache* cache, int64_t index) const {
    auto [stream_TC, attention_input_TC] =
        ResidualNorm(in.residual_TC, in.update_TC, layer.attention_norm);
    const at::Tensor qkv_TA = Linear(attention_input_TC, layer.query_key_value,
                                     NormAgain(recompute(), stream_TC, layer.attention_norm));
    at::Tensor attended_TC =
        cache == nullptr ? PackedAttention(qkv_TA, {}, shape_, input.segment_starts, input.starts_B)
                         : CachedAttention(qkv_TA, {}, shape_, input.segment_starts, *cache, index);
    if (index + 1 == config_.num_layers && input.rows_R.defined()) {
      stream_TC = SelectRows(stream_TC, input.rows_R);
      attended_TC = SelectRows(attended_TC, input.rows_R);
    }
    const at::Tensor attention_TC = Linear(attended_TC, layer.attention_output);

    const auto [mlp_stream_TC, mlp_input_TC] =
        ResidualNorm(stream_TC, attention_TC, layer.mlp_norm);
    const at::Tensor wide_TF =
        Linear(mlp_input_TC, layer.up, NormAgain(recompute(), mlp_stream_TC, layer.mlp_norm));
    return {mlp_stream_TC,
            Linear(Gelu(wide_TF), layer.down, ActivationAgain(recompute(), wide_TF, Gelu))};
  }

  static at::Tensor Gelu(const at::Tensor& x) { return at::gelu(x, "tanh"); }

  static std::string Prefix(int64_t layer) {
    return "transformer.h." + std::to_string(layer) + ".";
  }

  // Order of Model::parameters(). The matrices are "Conv1D" of transformers: [in, out].
  void DeclareParameters() {
    const int64_t hidden = config_.hidden_size;
    const int64_t wide = config_.intermediate_size;
    const auto norm = [&](const std::string& name) {
      table_.Declare(name + ".weight", {hidden}, /*decays=*/false);
      table_.Declare(name + ".bias", {hidden}, /*decays=*/false);
    };
    const auto linear = [&](const std::string& name, int64_t in, int64_t out) {
      table_.Declare(name + ".weight", {in, out}, /*decays=*/true);
      table_.Declare(name + ".bias", {out}, /*decays=*/false);
    };
    table_.Declare("transformer.wpe.weight", {config_.max_positions, hidden}, /*decays=*/true);
    for (int64_t i = 0; i < config_.num_layers; ++i) {
      norm(Prefix(i) + "ln_1");
      linear(Prefix(i) + "attn.c_attn", hidden, 3 * hidden);
      linear(Prefix(i) + "attn.c_proj", hidden, hidden);
      norm(Prefix(i) + "ln_2");
      linear(Prefix(i) + "mlp.c_fc", hidden, wide);
      linear(Prefix(i) + "mlp.c_proj", wide, hidden);
    }
    norm("transformer.ln_f");
    if (!config_.tied_head) table_.Declare("lm_head.weight", {config_.vocab_size, hidden}, true);
    table_.Declare("transformer.wte.weight", {config_.vocab_size, hidden}, /*decays=*/true);
  }

  void TakeParameters() {
    const auto norm = [&](const std::string& name) {
      return NormWeights{NormKind::kLayer,     table_[name + ".weight"], table_[name + ".bias"],
                         config_.norm_epsilon, table_.product_type(),    table_.sink()};
    };
    const auto linear = [&](const std::string& name) {
      return table_.Linear({name}, /*has_bias=*/true, /*input_major=*/true);
    };
    token_embedding_VC_ = table_["transformer.wte.weight"];
    position_embedding_PC_ = table_["transformer.wpe.weight"];
    for (int64_t i = 0; i < config_.num_layers; ++i) {
      layers_.push_back({norm(Prefix(i) + "ln_1"), linear(Prefix(i) + "attn.c_attn"),
                         linear(Prefix(i) + "attn.c_proj"), norm(Prefix(i) + "ln_2"),
                         linear(Prefix(i) + "mlp.c_fc"), linear(Prefix(i) + "mlp.c_proj")});
    }
    final_norm_ = norm("transformer.ln_f");
  }

  const ModelConfig config_;
  const AttentionShape shape_;
  ParameterTable table_;
  at::Tensor token_embedding_VC_;
  LookupGradient lookup_gradient_;
  at::Tensor position_embedding_PC_;
  std::vector<Layer> layers_;
  NormWeights final_norm_;
};

}  // namespace

std::unique_ptr<Model> BuildGpt2(const ModelConfig& config, ModelStorage& storage) {
  return std::make_unique<Gpt2>(config, storage);
}

}  // namespace breakeven
