// Pure.
#include "trainer/checkpoint/training_state.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/json_depth.h"
#include "trainer/checkpoint/manifest.h"

namespace breakeven {
namespace {

using Json = nlohmann::ordered_json;

// One list of keys for writing and reading.
template <typename State, typename Visitor>
void VisitState(State& state, Visitor&& visit) {
  visit("step", state.step);
  visit("epoch", state.epoch);
  visit("step_in_epoch", state.step_in_epoch);
  visit("total_steps", state.total_steps);
  visit("num_updates", state.num_updates);
  visit("skipped_steps", state.skipped_steps);
  visit("nonfinite_in_a_row", state.nonfinite_in_a_row);
  visit("tokens", state.tokens);
  visit("seconds", state.seconds);
  visit("recent_losses", state.recent_losses);
  visit("rollbacks", state.rollbacks);
  visit("best_validation_loss", state.best_validation_loss);
  visit("best_step", state.best_step);
  visit("last_validation_step", state.last_validation_step);
  visit("validations_without_gain", state.validations_without_gain);
  visit("seed", state.seed);
  visit("plan_hash", state.plan_hash);
  visit("dataset_hash", state.dataset_hash);
  visit("train_size", state.train_size);
  visit("tokenizer_fingerprint", state.tokenizer_fingerprint);
  visit("template_fingerprint", state.template_fingerprint);
  visit("config_hash", state.config_hash);
  visit("settings_hash", state.settings_hash);
  visit("world_size", state.world_size);
  visit("threads", state.threads);
  visit("bucket_bytes", state.bucket_bytes);
  visit("precision", state.precision);
  visit("program_version", state.program_version);
  visit("libtorch_version", state.libtorch_version);
}

// Files of earlier versions lack them.
bool MayBeAbsent(std::string_view key) {
  return key == "rollbacks" || key == "recent_losses" || key == "settings_hash" ||
         key == "train_size";
}

struct Writer {
  Json& json;
  void operator()(const char* key, int64_t value) { json[key] = value; }
  void operator()(const char* key, const std::string& value) { json[key] = value; }
  void operator()(const char* key, const std::vector<double>& values) { json[key] = values; }
  void operator()(const char* key, double value) {
    json[key] = std::isfinite(value) ? Json(value) : Json(nullptr);
  }
};

struct Reader {
  const Json& json;
  template <typename Value>
  void operator()(const char* key, Value& value) {
    if (MayBeAbsent(key) && !json.contains(key)) return;
    json.at(key).get_to(value);
  }
  void operator()(const char* key, double& value) {
    value = json.at(key).is_null() ? std::numeric_limits<double>::quiet_NaN()
                                   : json.at(key).get<double>();
  }
};

}  // namespace

std::string TrainingState::ToJson() const {
  Json json = {{"format", kCheckpointFormat}};
  VisitState(*this, Writer{json});
  return json.dump(1) + "\n";
}

TrainingState ParseTrainingState(std::string_view text, const std::string& where) {
  CheckJsonDepth(text, where);
  TrainingState state;
  try {
    const Json json = Json::parse(text);
    CheckFormat(json.at("format").get<int64_t>(), where);
    VisitState(state, Reader{json});
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kBadData, where + ": damaged: " + error.what());
  }
  if (state.step < 0 || state.epoch < 0 || state.step_in_epoch < 0 || state.num_updates < 0 ||
      state.num_updates > state.step) {
    throw Error(ErrorKind::kBadData, where + ": step " + std::to_string(state.step) + ", epoch " +
                                         std::to_string(state.epoch) + ", num_updates " +
                                         std::to_string(state.num_updates) +
                                         " do not fit together");
  }
  return state;
}

TrainingState LoadTrainingState(const std::string& folder) {
  const std::string path = folder + "/" + kStateFile;
  return ParseTrainingState(ReadFile(path), path);
}

}  // namespace breakeven
