#include "trainer/prompt_eval/loaded_model.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "comm/base/json_depth.h"
#include "trainer/aten_threads.h"
#include "trainer/checkpoint/manifest.h"
#include "trainer/checkpoint/safetensors.h"
#include "trainer/checkpoint/training_state.h"
#include "trainer/model/model_config.h"
#include "trainer/process_resources.h"
#include "trainer/tensor_bridge.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;

// A JSON object of the folder; empty when there is no such file.
nlohmann::json ReadJsonIfThere(const fs::path& path) {
  if (!fs::exists(path)) return nlohmann::json::object();
  const std::string text = ReadFile(path.string());
  CheckJsonDepth(text, path.string());
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) {
    throw Error(ErrorKind::kBadData, path.string() + ": not a JSON object");
  }
  return json;
}

void AddIds(const nlohmann::json& json, const fs::path& path, std::vector<int32_t>& ids) {
  if (!json.contains("eos_token_id") || json["eos_token_id"].is_null()) return;
  const nlohmann::json& value = json["eos_token_id"];
  const nlohmann::json list = value.is_array() ? value : nlohmann::json::array({value});
  for (const nlohmann::json& id : list) {
    if (!id.is_number_integer()) {
      throw Error(ErrorKind::kBadData, path.string() + ": eos_token_id is " + value.dump() +
                                           "; expected an id or a list of ids");
    }
    ids.push_back(id.get<int32_t>());
  }
}

std::vector<int32_t> StopIds(const std::string& folder, const Tokenizer& tokenizer) {
  std::vector<int32_t> ids;
  for (const char* name : {"generation_config.json", "config.json"}) {
    const fs::path path = fs::path(folder) / name;
    if (ids.empty()) AddIds(ReadJsonIfThere(path), path, ids);
  }
  if (ids.empty() && tokenizer.eos_id().has_value()) ids.push_back(*tokenizer.eos_id());
  return ids;
}

void CheckVocabulary(const LoadedModel& loaded) {
  if (loaded.tokenizer->vocab_size() <= loaded.config.vocab_size) return;
  throw Error(ErrorKind::kBadData,
              "model '" + loaded.name + "' in " + loaded.folder + ": its tokenizer has ids up to " +
                  std::to_string(loaded.tokenizer->vocab_size() - 1) +
                  ", but config.json says vocab_size " + std::to_string(loaded.config.vocab_size) +
                  "; tokenizer and weights are not of one model");
}

LoadedModel ReadAllButWeights(const std::string& name, const std::string& folder) {
  LoadedModel loaded;
  loaded.name = name;
  loaded.folder = folder;
  if (!fs::is_directory(folder)) {
    throw Error(ErrorKind::kBadData, "model '" + name + "': no folder " + folder +
                                         "; expected a Hugging Face folder with config.json, "
                                         "model.safetensors and tokenizer.json");
  }
  loaded.config = ReadModelConfig(folder);
  loaded.tokenizer = Tokenizer::Load(folder);
  CheckVocabulary(loaded);
  loaded.chat = {loaded.tokenizer->chat_template(), loaded.tokenizer->bos_token(),
                 loaded.tokenizer->eos_token()};
  loaded.stop_ids = StopIds(folder, *loaded.tokenizer);
  if (fs::exists(fs::path(folder) / kStateFile)) {
    const TrainingState state = LoadTrainingState(folder);
    loaded.step = state.step;
    loaded.seed = state.seed;
    if (state.train_size > 0) loaded.train_size = state.train_size;  // 0: of an earlier version
  }
  return loaded;
}

void ReadWeights(LoadedModel& loaded, const ScoringPrecision& precision, const at::Device& device) {
  loaded.storage = std::make_unique<ModelStorage>();
  loaded.storage->device = device;
  loaded.storage->product_type = ProductTypeOf(precision.type);
  loaded.model = BuildModel(loaded.config, *loaded.storage);
  LoadWeights(loaded.folder, *loaded.model);
  RefreshCopies(*loaded.storage);
  loaded.hash = HashModelFolder(loaded.folder);
  VerifyModelFiles(loaded.folder, loaded.hash);
}

void CheckSame(const LoadedModel& loaded, Control& control) {
  CheckSameOnAllRanks(control, ErrorKind::kBadData, "config.json in " + loaded.folder,
                      loaded.config.raw_json);
  CheckSameOnAllRanks(control, ErrorKind::kBadData, "hash of the weights in " + loaded.folder,
                      loaded.hash);
  CheckSameOnAllRanks(control, ErrorKind::kBadData, "tokenizer in " + loaded.folder,
                      loaded.tokenizer->fingerprint());
}

}  // namespace

LoadedModel LoadEvalModel(const std::string& name, const std::string& folder,
                          const ScoringPrecision& precision, World& world) {
  LoadedModel loaded;
  RunTogether(*world.control, /*root_only=*/false, [&] {
    PrepareDevice(world.device);
    loaded = ReadAllButWeights(name, folder);
    WithDeviceMemory("the model in " + folder + " needs a larger one",
                     [&] { ReadWeights(loaded, precision, ToAten(world.device)); });
  });
  CheckSame(loaded, *world.control);
  return loaded;
}

LoadedModel ReadEvalModel(const std::string& name, const std::string& folder, World& world) {
  LoadedModel loaded;
  RunTogether(*world.control, /*root_only=*/false, [&] {
    loaded = ReadAllButWeights(name, folder);
    CheckWeights(folder, loaded.config);
  });
  CheckSame(loaded, *world.control);
  return loaded;
}

std::string HashBesidesWeights(const LoadedModel& model) {
  Hasher hasher;
  for (const std::string& part :
       {model.config.raw_json, model.tokenizer->fingerprint(), model.chat.chat_template,
        model.chat.bos_token, model.chat.eos_token}) {
    hasher.UpdateField(part);
  }
  for (const int32_t id : model.stop_ids) hasher.UpdateField(std::to_string(id));
  return hasher.Hex();
}

std::string HashModelFolder(const std::string& folder) {
  const fs::path single = fs::path(folder) / "model.safetensors";
  if (fs::exists(single)) return HashHex(HashFile(single.string()));
  Hasher hasher;
  for (const SafetensorsFile& shard : OpenModelFolder(folder)) {
    hasher.UpdateField(fs::path(shard.path()).filename().string());
    hasher.UpdateField(HashHex(HashFile(shard.path())));
  }
  return hasher.Hex();
}

int SetEvalThreads(int64_t threads, World& world) {
  const int64_t number =
      RankThreads(threads, GatherPlaces(*world.control), static_cast<size_t>(world.rank()));
  SetThreads(number);
  return static_cast<int>(number);
}

}  // namespace breakeven
