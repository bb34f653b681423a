// Pure.
#include "trainer/resume_check.h"

#include <nlohmann/json.hpp>

namespace breakeven {
namespace {

std::string Differs(const std::string& what, const std::string& saved, const std::string& current,
                    const std::string& remedy) {
  return "the checkpoint was trained with " + what + " " + saved + ", now it is " + current + ". " +
         remedy;
}

// What changes what a model computes; not how it was initialised.
nlohmann::ordered_json Mathematics(const ModelConfig& config) {
  nlohmann::ordered_json rope = nullptr;
  if (config.rope_scaling.has_value()) {
    rope = {config.rope_scaling->factor, config.rope_scaling->low_freq_factor,
            config.rope_scaling->high_freq_factor,
            config.rope_scaling->original_max_position_embeddings};
  }
  return {{"model_type", config.model_type},
          {"vocab_size", config.vocab_size},
          {"hidden_size", config.hidden_size},
          {"number of layers", config.num_layers},
          {"number of heads", config.num_heads},
          {"number of key/value heads", config.num_kv_heads},
          {"head_dim", config.head_dim},
          {"intermediate_size", config.intermediate_size},
          {"number of positions", config.max_positions},
          {"epsilon of the norms", config.norm_epsilon},
          {"rope_theta", config.rope_theta},
          {"rope_scaling", rope},
          {"attention_bias", config.attention_bias},
          {"mlp_bias", config.mlp_bias},
          {"tie_word_embeddings", config.tied_head}};
}

}  // namespace

void CheckSameModel(const std::string& checkpoint, const ModelConfig& current) {
  const nlohmann::ordered_json saved = Mathematics(ReadModelConfig(checkpoint));
  const nlohmann::ordered_json now = Mathematics(current);
  for (const auto& [key, value] : saved.items()) {
    if (value == now.at(key)) continue;
    throw Error(ErrorKind::kBadData,
                checkpoint + ": " +
                    Differs("a model whose " + key + " is", value.dump(), now.at(key).dump(),
                            "Give back the model to go on, or choose another `output` for a new "
                            "run."));
  }
}

ResumeVerdict CompareForResume(const TrainingState& saved, const TrainingState& current) {
  ResumeVerdict verdict;
  const auto refuse = [&](ErrorKind kind, const std::string& what, const std::string& a,
                          const std::string& b, const std::string& remedy) {
    if (a == b || !verdict.error.empty()) return;
    verdict.kind = kind;
    verdict.error = Differs(what, a, b, remedy);
  };
  const std::string other_run =
      "Give back what it was to go on, or choose another `output` for a new run.";
  refuse(ErrorKind::kBadData, "the tokenizer", saved.tokenizer_fingerprint,
         current.tokenizer_fingerprint, other_run);
  refuse(ErrorKind::kBadData, "data of the template", saved.template_fingerprint,
         current.template_fingerprint, other_run);
  refuse(ErrorKind::kBadData, "the dataset", saved.dataset_hash, current.dataset_hash, other_run);
  refuse(ErrorKind::kUsage, "seed", std::to_string(saved.seed), std::to_string(current.seed),
         other_run);
  refuse(ErrorKind::kUsage, "the plan (batching.global_batch, batching.shuffle)", saved.plan_hash,
         current.plan_hash, other_run);
  refuse(ErrorKind::kUsage, "precision", saved.precision, current.precision, other_run);

  const auto warn = [&](const std::string& what, const std::string& a, const std::string& b,
                        const std::string& effect) {
    if (a != b) verdict.warnings.push_back(Differs(what, a, b, effect));
  };
  const std::string rounding = "The run goes on, equal to rounding instead of bit by bit.";
  warn("world size", std::to_string(saved.world_size), std::to_string(current.world_size),
       rounding);
  warn("threads per rank", std::to_string(saved.threads), std::to_string(current.threads),
       rounding);
  warn("bucket_bytes", std::to_string(saved.bucket_bytes), std::to_string(current.bucket_bytes),
       rounding);
  warn("program version", saved.program_version, current.program_version, rounding);
  warn("libtorch", saved.libtorch_version, current.libtorch_version, rounding);
  warn("steps in all:", std::to_string(saved.total_steps), std::to_string(current.total_steps),
       "The schedule follows the new number from here on.");
  const std::string new_values = "The new values hold from here on; RUN/config.yaml has them.";
  if (!saved.settings_hash.empty()) {
    warn("settings of hash", saved.settings_hash, current.settings_hash, new_values);
  } else if (saved.total_steps == current.total_steps) {
    warn("a config with hash", saved.config_hash, current.config_hash, new_values);
  } else if (saved.config_hash != current.config_hash) {  // as it must be: it counts the steps too
    verdict.warnings.push_back(
        "whether other settings changed as well cannot be told: the checkpoint was written by an "
        "earlier version. " +
        new_values);
  }
  return verdict;
}

TrainingState ContinueFrom(const TrainingState& saved, const TrainingState& current) {
  TrainingState state = saved;
  state.total_steps = current.total_steps;
  state.seed = current.seed;
  state.plan_hash = current.plan_hash;
  state.dataset_hash = current.dataset_hash;
  state.train_size = current.train_size;
  state.tokenizer_fingerprint = current.tokenizer_fingerprint;
  state.template_fingerprint = current.template_fingerprint;
  state.config_hash = current.config_hash;
  state.settings_hash = current.settings_hash;
  state.world_size = current.world_size;
  state.threads = current.threads;
  state.bucket_bytes = current.bucket_bytes;
  state.precision = current.precision;
  state.program_version = current.program_version;
  state.libtorch_version = current.libtorch_version;
  return state;
}

}  // namespace breakeven
