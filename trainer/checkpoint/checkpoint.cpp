#include "trainer/checkpoint/checkpoint.h"

#include <array>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
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

std::string PartName(int index, int num_parts) {
  if (num_parts == 1) return std::string(kMomentFiles) + ".safetensors";
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%s-%05d-of-%05d.safetensors", kMomentFiles, index + 1,
                num_parts);
  return text.data();
}

// The files that a part writes, in its order.
class PartWriter {
 public:
  explicit PartWriter(std::string folder) : folder_(std::move(folder)) {}

  void Text(const std::string& name, std::string_view content) {
    WriteFileDurably(folder_ + "/" + name, content);
    files_[name] = {static_cast<int64_t>(content.size()), HashHex(Hash64(content))};
  }
  void Tensors(const std::string& name, const std::vector<TensorToWrite>& tensors) {
    const WrittenFile file = WriteSafetensors(folder_ + "/" + name, tensors);
    files_[name] = {file.num_bytes, HashHex(file.hash)};
  }
  // Read back, so that nothing older goes before this is known to be there.
  FileRecords Verified() const {
    for (const auto& [name, record] : files_) VerifyWrittenFile(folder_ + "/" + name, record);
    return files_;
  }

 private:
  const std::string folder_;
  FileRecords files_;
};

std::string TemporaryFolder(const std::string& run_folder, int64_t step) {
  return CheckpointsFolder(run_folder) + "/" + CheckpointName(step) + ".tmp";
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

FileRecords WritePart(const std::string& run_folder, int64_t step, const Model& model,
                      const ModelStorage& storage, const CompanionFiles& companions,
                      const CheckpointPart& part) {
  const std::string folder = TemporaryFolder(run_folder, step);
  FaultPoint("checkpoint.begin", step);
  CreateFolders(folder + "/trainer_state");
  PartWriter writer(folder);
  std::vector<TensorToWrite> tensors;
  if (part.index == 0) {
    writer.Text("config.json", ConfigJson(model.config()));
    if (companions.count("generation_config.json") == 0) {
      writer.Text("generation_config.json", GenerationConfigJson(model.config()));
    }
    for (const auto& [name, content] : companions) writer.Text(name, content);
    for (const ParameterRange& range : storage.ranges) {
      tensors.push_back({range.name, "F32", range.shape,
                         part.parameters_P.const_data_ptr<float>() + range.offset});
    }
    writer.Tensors("model.safetensors", tensors);
    FaultPoint("checkpoint.after_weights", step);
    tensors.clear();
  }
  for (const HeldStretch& stretch : part.moments) {
    AppendTensors(stretch, storage.ranges, tensors);
  }
  if (!tensors.empty()) writer.Tensors(PartName(part.index, part.num_parts), tensors);
  FaultPoint("checkpoint.after_part", step);
  return writer.Verified();
}

std::string CommitCheckpoint(const std::string& run_folder, const TrainingState& state,
                             const FileRecords& files) {
  const std::string temporary = TemporaryFolder(run_folder, state.step);
  const std::string path = CheckpointsFolder(run_folder) + "/" + CheckpointName(state.step);
  PartWriter writer(temporary);
  writer.Text(kStateFile, state.ToJson());
  Manifest manifest{.step = state.step, .files = files};
  manifest.files.merge(writer.Verified());
  FaultPoint("checkpoint.before_manifest", state.step);
  WriteFileDurably(temporary + "/manifest.json", manifest.ToJson());
  FsyncDirectory(temporary + "/trainer_state");
  FsyncDirectory(temporary);
  FaultPoint("checkpoint.before_rename", state.step);
  if (fs::exists(path)) {  // this step was saved by a run that was then resumed from an older one
    fs::remove_all(path + ".replaced.tmp");
    RenameDurably(path, path + ".replaced.tmp");
  }
  RenameDurably(temporary, path);
  BE_CHECK(ReadManifest(path).Hash() == manifest.Hash(), path + " reads back as another");
  FaultPoint("checkpoint.before_latest", state.step);
  WriteLatest(run_folder, state.step);
  FaultPoint("checkpoint.after_latest", state.step);
  fs::remove_all(path + ".replaced.tmp");
  return manifest.Hash();
}

void RemoveUnfinished(const std::string& run_folder, int64_t step) noexcept {
  std::error_code ignored;
  fs::remove_all(TemporaryFolder(run_folder, step), ignored);
}

}  // namespace breakeven
