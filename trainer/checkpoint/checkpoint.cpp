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
#include "trainer/tensor_bridge.h"

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

std::string MomentName(Moment moment, const std::string& parameter) {
  return (moment == Moment::kExpAvg ? kExpAvg : kExpAvgSq) + parameter;
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
  file.Forget(*found);
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

struct CheckpointWriter::State {
  std::string run_folder;
  int64_t step = 0;
  std::string path;
  std::string temporary;
  Manifest manifest;
  std::vector<ParameterRange> ranges;
  std::unique_ptr<SafetensorsWriter> moments;
  bool renamed = false;

  void Text(const std::string& name, std::string_view content) {
    WriteFileDurably(temporary + "/" + name, content);
    manifest.files[name] = {static_cast<int64_t>(content.size()), HashHex(Hash64(content))};
  }
  void Note(const std::string& name, const WrittenFile& file) {
    manifest.files[name] = {file.num_bytes, HashHex(file.hash)};
  }
};

CheckpointWriter::CheckpointWriter(const std::string& run_folder, int64_t step)
    : state_(std::make_unique<State>()) {
  state_->run_folder = run_folder;
  state_->step = step;
  state_->path = CheckpointsFolder(run_folder) + "/" + CheckpointName(step);
  state_->temporary = state_->path + ".tmp";
  fs::remove_all(state_->temporary);
  FaultPoint("checkpoint.begin", step);
  CreateFolders(state_->temporary + "/trainer_state");
}

CheckpointWriter::~CheckpointWriter() {
  if (state_->renamed) return;
  state_->moments.reset();
  std::error_code ignored;
  fs::remove_all(state_->temporary, ignored);
}

void CheckpointWriter::Weights(const Model& model, const ModelStorage& storage,
                               const CompanionFiles& companions) {
  state_->Text("config.json", ConfigJson(model.config()));
  if (companions.count("generation_config.json") == 0) {
    state_->Text("generation_config.json", GenerationConfigJson(model.config()));
  }
  for (const auto& [name, content] : companions) state_->Text(name, content);
  const at::Tensor parameters_P = OnHost(storage.parameters_P);
  std::vector<TensorToWrite> weights;
  for (const ParameterRange& range : storage.ranges) {
    weights.push_back(Slice(range.name, parameters_P, range));
  }
  constexpr const char* kWeightsFile = "model.safetensors";
  state_->Note(kWeightsFile, WriteSafetensors(state_->temporary + "/" + kWeightsFile, weights));
  state_->ranges = storage.ranges;
  FaultPoint("checkpoint.after_weights", state_->step);
}

void CheckpointWriter::Put(Moment moment, const at::Tensor& flat_P) {
  if (moment == Moment::kExpAvg) {
    std::vector<TensorToWrite> tensors;
    for (const Moment each : {Moment::kExpAvg, Moment::kExpAvgSq}) {
      for (const ParameterRange& range : state_->ranges) {
        tensors.push_back({MomentName(each, range.name), "F32", range.shape, nullptr});
      }
    }
    state_->moments =
        std::make_unique<SafetensorsWriter>(state_->temporary + "/" + kOptimizerFile, tensors);
  }
  const at::Tensor moment_P = OnHost(flat_P);
  for (const ParameterRange& range : state_->ranges) {
    state_->moments->Write(moment_P.const_data_ptr<float>() + range.offset,
                           range.numel * static_cast<int64_t>(sizeof(float)));
  }
}

std::string CheckpointWriter::Finish(const TrainingState& state) {
  const std::string& path = state_->path;
  const std::string& temporary = state_->temporary;
  state_->Note(kOptimizerFile, state_->moments->Commit());
  state_->Text(kStateFile, state.ToJson());
  FaultPoint("checkpoint.before_manifest", state.step);
  state_->manifest.step = state.step;
  WriteFileDurably(temporary + "/manifest.json", state_->manifest.ToJson());
  FsyncDirectory(temporary + "/trainer_state");
  FsyncDirectory(temporary);
  FaultPoint("checkpoint.before_rename", state.step);
  if (fs::exists(path)) {  // this step was saved by a run that was then resumed from an older one
    fs::remove_all(path + ".replaced.tmp");
    RenameDurably(path, path + ".replaced.tmp");
  }
  RenameDurably(temporary, path);
  state_->renamed = true;
  FaultPoint("checkpoint.before_latest", state.step);
  WriteLatest(state_->run_folder, state.step);
  FaultPoint("checkpoint.after_latest", state.step);
  fs::remove_all(path + ".replaced.tmp");
  return path;
}

std::string SaveCheckpoint(const std::string& run_folder, const CheckpointSource& source,
                           const TrainingState& state) {
  CheckpointWriter writer(run_folder, state.step);
  writer.Weights(source.model, source.storage, source.companions);
  writer.Put(Moment::kExpAvg, source.optimizer.exp_avg_P());
  writer.Put(Moment::kExpAvgSq, source.optimizer.exp_avg_sq_P());
  return writer.Finish(state);
}

TrainingState LoadTrainingState(const std::string& folder) {
  const std::string path = folder + "/" + kStateFile;
  return ParseTrainingState(ReadFile(path), path);
}

void LoadMoment(const std::string& folder, Moment moment, const ModelStorage& storage,
                const at::Tensor& flat_P) {
  const SafetensorsFile file(folder + "/" + kOptimizerFile);
  const at::Tensor on_host_P = OnHost(flat_P);
  for (const ParameterRange& range : storage.ranges) {
    CopyMoment(file, MomentName(moment, range.name), range, on_host_P);
  }
  if (!flat_P.is_cpu()) flat_P.copy_(on_host_P);
}

void LoadOptimizer(const std::string& folder, const TrainingState& state,
                   const ModelStorage& storage, AdamW& optimizer) {
  LoadMoment(folder, Moment::kExpAvg, storage, optimizer.exp_avg_P());
  LoadMoment(folder, Moment::kExpAvgSq, storage, optimizer.exp_avg_sq_P());
  optimizer.set_num_updates(state.num_updates);
}

}  // namespace breakeven
