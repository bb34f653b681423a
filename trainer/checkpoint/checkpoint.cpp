#include "trainer/checkpoint/checkpoint.h"

#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>
#include <vector>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/base/hash.h"
#include "trainer/checkpoint/manifest.h"
#include "trainer/checkpoint/run_folder.h"
#include "trainer/checkpoint/safetensors.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kStateFile = "trainer_state/state.json";
constexpr const char* kOptimizerFile = "trainer_state/optimizer.safetensors";
constexpr const char* kExpAvg = "exp_avg.";
constexpr const char* kExpAvgSq = "exp_avg_sq.";

constexpr const char* kTokenizerFiles[] = {"tokenizer.json",
                                           "tokenizer_config.json",
                                           "special_tokens_map.json",
                                           "added_tokens.json",
                                           "vocab.json",
                                           "merges.txt",
                                           "tokenizer.model",
                                           "chat_template.jinja"};

void ReadInto(CompanionFiles& files, const std::string& folder, const char* name) {
  const std::string path = folder + "/" + name;
  if (fs::is_regular_file(path)) files[name] = ReadFile(path);
}

void RequireFolder(const std::string& folder, const char* what) {
  if (!fs::is_directory(folder)) {
    throw Error(ErrorKind::kBadData, folder + ": " + what + " is not a folder");
  }
}

// The model folder's config, with the type that the weights are now stored in: transformers would
// otherwise round them to the type they were published in.
std::string ConfigJson(const ModelConfig& config) {
  Json json = Json::parse(config.raw_json);
  json.erase("torch_dtype");
  json["dtype"] = "float32";
  return json.dump(2) + "\n";
}

// Special token ids for generate(), where the start had no generation_config.json of its own.
std::string GenerationConfigJson(const ModelConfig& config) {
  const Json from = Json::parse(config.raw_json);
  Json json = {{"_from_model_config", true}};
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    if (from.contains(key) && !from[key].is_null()) json[key] = from[key];
  }
  return json.dump(2) + "\n";
}

TensorToWrite Slice(const std::string& name, const at::Tensor& flat_P,
                    const ParameterRange& range) {
  return {name, "F32", range.shape, flat_P.const_data_ptr<float>() + range.offset};
}

// Writes the files of one checkpoint folder and notes what it wrote.
class FolderWriter {
 public:
  explicit FolderWriter(std::string folder) : folder_(std::move(folder)) {
    CreateFolders(folder_ + "/trainer_state");
  }

  void Text(const std::string& name, std::string_view content) {
    WriteFileDurably(folder_ + "/" + name, content);
    manifest_.files[name] = {static_cast<int64_t>(content.size()), HashHex(Hash64(content))};
  }

  void Tensors(const std::string& name, std::span<const TensorToWrite> tensors) {
    const WrittenFile file = WriteSafetensors(folder_ + "/" + name, tensors);
    manifest_.files[name] = {file.num_bytes, HashHex(file.hash)};
  }

  void Finish(int64_t step) {
    manifest_.step = step;
    WriteFileDurably(folder_ + "/manifest.json", manifest_.ToJson());
    FsyncDirectory(folder_ + "/trainer_state");
    FsyncDirectory(folder_);
  }

 private:
  std::string folder_;
  Manifest manifest_;
};

void WriteWeights(FolderWriter& writer, const CheckpointSource& source) {
  writer.Text("config.json", ConfigJson(source.model.config()));
  if (source.companions.count("generation_config.json") == 0) {
    writer.Text("generation_config.json", GenerationConfigJson(source.model.config()));
  }
  for (const auto& [name, content] : source.companions) writer.Text(name, content);
  std::vector<TensorToWrite> weights;
  for (const ParameterRange& range : source.storage.ranges) {
    weights.push_back(Slice(range.name, source.storage.parameters_P, range));
  }
  writer.Tensors("model.safetensors", weights);
}

void WriteTrainerState(FolderWriter& writer, const CheckpointSource& source,
                       const TrainingState& state) {
  std::vector<TensorToWrite> moments;
  for (const ParameterRange& range : source.storage.ranges) {
    moments.push_back(Slice(kExpAvg + range.name, source.optimizer.exp_avg_P(), range));
    moments.push_back(Slice(kExpAvgSq + range.name, source.optimizer.exp_avg_sq_P(), range));
  }
  writer.Tensors(kOptimizerFile, moments);
  writer.Text(kStateFile, state.ToJson());
}

void CopyMoment(const SafetensorsFile& file, const std::string& name, const ParameterRange& range,
                const at::Tensor& flat_P) {
  const MappedTensor* found = file.Find(name);
  if (found == nullptr) throw Error(ErrorKind::kBadData, file.path() + ": lacks tensor " + name);
  if (found->dtype != "F32" || found->shape != range.shape) {
    throw Error(ErrorKind::kBadData, file.path() + ": tensor " + name + " is " + found->dtype +
                                         " with " + std::to_string(found->numel) +
                                         " elements; expected F32 with the parameter's shape, " +
                                         std::to_string(range.numel) + " elements");
  }
  std::memcpy(flat_P.data_ptr<float>() + range.offset, found->data,
              static_cast<size_t>(found->num_bytes));
}

}  // namespace

CompanionFiles ReadCompanionFiles(const std::string& model_folder,
                                  const std::string& tokenizer_folder) {
  CompanionFiles files;
  if (!tokenizer_folder.empty()) {
    RequireFolder(tokenizer_folder, "the tokenizer's place");
    for (const char* name : kTokenizerFiles) ReadInto(files, tokenizer_folder, name);
  }
  if (!model_folder.empty()) {
    RequireFolder(model_folder, "the model's place");
    ReadInto(files, model_folder, "generation_config.json");
  }
  return files;
}

std::string SaveCheckpoint(const std::string& run_folder, const CheckpointSource& source,
                           const TrainingState& state) {
  const std::string path = CheckpointsFolder(run_folder) + "/" + CheckpointName(state.step);
  const std::string temporary = path + ".tmp";
  fs::remove_all(temporary);
  try {
    FaultPoint("checkpoint.begin", state.step);
    FolderWriter writer(temporary);
    WriteWeights(writer, source);
    FaultPoint("checkpoint.after_weights", state.step);
    WriteTrainerState(writer, source, state);
    FaultPoint("checkpoint.before_manifest", state.step);
    writer.Finish(state.step);
    FaultPoint("checkpoint.before_rename", state.step);
    if (fs::exists(path)) {  // this step was saved by a run that was then resumed from an older one
      fs::remove_all(path + ".replaced.tmp");
      RenameDurably(path, path + ".replaced.tmp");
    }
    RenameDurably(temporary, path);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
  FaultPoint("checkpoint.before_latest", state.step);
  WriteLatest(run_folder, state.step);
  FaultPoint("checkpoint.after_latest", state.step);
  fs::remove_all(path + ".replaced.tmp");
  return path;
}

TrainingState LoadTrainingState(const std::string& folder) {
  const std::string path = folder + "/" + kStateFile;
  return ParseTrainingState(ReadFile(path), path);
}

void LoadOptimizer(const std::string& folder, const TrainingState& state,
                   const ModelStorage& storage, AdamW& optimizer) {
  const SafetensorsFile file(folder + "/" + kOptimizerFile);
  for (const ParameterRange& range : storage.ranges) {
    CopyMoment(file, kExpAvg + range.name, range, optimizer.exp_avg_P());
    CopyMoment(file, kExpAvgSq + range.name, range, optimizer.exp_avg_sq_P());
  }
  optimizer.set_num_updates(state.num_updates);
}

}  // namespace breakeven
