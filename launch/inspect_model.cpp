#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "comm/base/durable_file.h"
#include "comm/base/hash.h"
#include "comm/base/progress.h"
#include "data_pipeline/tokenizer/tokenizer.h"
#include "launch/inspect.h"
#include "trainer/checkpoint/manifest.h"
#include "trainer/checkpoint/run_folder.h"
#include "trainer/checkpoint/safetensors.h"
#include "trainer/checkpoint/training_state.h"
#include "trainer/model/model_config.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string Shape(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

Json DescribeArchitecture(const std::string& folder) {
  const ModelConfig config = ReadModelConfig(folder);
  return {{"model_type", config.model_type}, {"parameters", config.num_parameters()},
          {"layers", config.num_layers},     {"hidden_size", config.hidden_size},
          {"heads", config.num_heads},       {"kv_heads", config.num_kv_heads},
          {"head_dim", config.head_dim},     {"intermediate_size", config.intermediate_size},
          {"vocab_size", config.vocab_size}, {"max_positions", config.max_positions},
          {"tied_head", config.tied_head}};
}

Json DescribeTensors(const std::string& folder) {
  int64_t num_tensors = 0;
  int64_t num_elements = 0;
  int64_t num_bytes = 0;
  std::map<std::string, int64_t> dtypes;
  Json largest = Json::array();
  std::vector<std::pair<int64_t, std::string>> by_size;
  for (const SafetensorsFile& file : OpenModelFolder(folder)) {
    for (const MappedTensor& tensor : file.tensors()) {
      ++num_tensors;
      ++dtypes[tensor.dtype];
      num_elements += tensor.numel;
      num_bytes += tensor.num_bytes;
      by_size.emplace_back(-tensor.numel,
                           tensor.name + " " + tensor.dtype + " " + Shape(tensor.shape));
    }
  }
  std::sort(by_size.begin(), by_size.end());
  for (size_t i = 0; i < std::min<size_t>(3, by_size.size()); ++i)
    largest.push_back(by_size[i].second);
  return {{"tensors", num_tensors},
          {"elements", num_elements},
          {"bytes", num_bytes},
          {"dtypes", dtypes},
          {"largest", largest}};
}

Json DescribeTokenizer(const std::string& folder, const std::string& text) {
  const std::unique_ptr<Tokenizer> tokenizer = Tokenizer::Load(folder);
  Json json = {{"vocab_size", tokenizer->vocab_size()},
               {"bos_token", tokenizer->bos_token()},
               {"eos_token", tokenizer->eos_token()},
               {"chat_template", !tokenizer->chat_template().empty()},
               {"fingerprint", tokenizer->fingerprint()}};
  if (!text.empty()) {
    Json tokens = Json::array();
    for (const int32_t id : tokenizer->Encode(text)) {
      const int32_t ids[] = {id};
      tokens.push_back({{"id", id}, {"text", tokenizer->Decode(ids)}});
    }
    json["tokens"] = tokens;
  }
  return json;
}

Json DescribeTraining(const std::string& folder, bool verify) {
  const Manifest manifest = verify ? VerifyCheckpoint(folder) : ReadManifest(folder);
  const TrainingState state = LoadTrainingState(folder);
  Json json = Json::parse(state.ToJson());
  json["checkpoint_hash"] = manifest.Hash();
  json["files"] = manifest.files.size();
  json["verified"] =
      verify ? "every file has the hash of the manifest" : "not read; --verify reads all";
  return json;
}

// "key: value" lines, nested objects indented.
void AppendText(const Json& json, const std::string& indent, std::string& text) {
  for (const auto& [key, value] : json.items()) {
    if (value.is_object()) {
      text += indent + key + ":\n";
      AppendText(value, indent + "  ", text);
    } else if (value.is_array()) {
      text += indent + key + ":\n";
      for (const Json& item : value) {
        text += indent + "  " + (item.is_string() ? item.get<std::string>() : item.dump()) + "\n";
      }
    } else if (value.is_number_integer()) {
      text += indent + key + ": " + FormatCount(value.get<int64_t>()) + "\n";
    } else {
      text += indent + key + ": " + (value.is_string() ? value.get<std::string>() : value.dump()) +
              "\n";
    }
  }
}

std::string Render(const Json& json, bool as_json) {
  if (as_json) return json.dump(2) + "\n";
  std::string text;
  AppendText(json, "", text);
  return text;
}

}  // namespace

std::string InspectModelFolder(const std::string& path, const CommandOptions& options) {
  Json json = {{"path", path}};
  const fs::path folder(path);
  if (fs::exists(folder / "config.json")) json["architecture"] = DescribeArchitecture(path);
  if (fs::exists(folder / "model.safetensors") ||
      fs::exists(folder / "model.safetensors.index.json")) {
    json["weights"] = DescribeTensors(path);
  }
  if (fs::exists(folder / "tokenizer.json"))
    json["tokenizer"] = DescribeTokenizer(path, options.text);
  if (fs::exists(folder / "manifest.json"))
    json["training"] = DescribeTraining(path, options.verify);
  if (options.verify && !fs::exists(folder / "manifest.json")) {
    // No manifest says what the bytes should be; the hash lets two copies be compared.
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (entry.path().extension() == ".safetensors")
        json["hashes"][name] = HashHex(HashFile(entry.path().string()));
    }
  }
  return Render(json, options.json);
}

std::string InspectRunFolder(const std::string& path, const CommandOptions& options) {
  Json json = {{"path", path}};
  Json checkpoints = Json::object();
  for (const CheckpointEntry& entry : ListCheckpoints(path)) {
    std::string state;
    try {
      if (options.verify) VerifyCheckpoint(entry.path);
      if (!options.verify) ReadManifest(entry.path);
      state = options.verify ? "whole: every hash fits" : "complete";
    } catch (const Error& error) {
      state = std::string("damaged: ") + error.what();
    }
    checkpoints[CheckpointName(entry.step)] = state;
  }
  json["checkpoints"] = checkpoints;
  if (fs::exists(fs::path(path) / "metrics.jsonl")) {
    const std::string metrics = ReadFile(path + "/metrics.jsonl");
    Json last = Json::object();
    size_t begin = 0;
    while (begin < metrics.size()) {
      size_t end = metrics.find('\n', begin);
      if (end == std::string::npos) break;  // a line that is being written, or was cut by a crash
      const Json line =
          Json::parse(metrics.substr(begin, end - begin), nullptr, /*allow_exceptions=*/false);
      if (line.is_object() && line.contains("event") && line["event"].is_string()) {
        last[line["event"].get<std::string>()] = line;
      }
      begin = end + 1;
    }
    json["last_of_each_event"] = last;
  }
  return Render(json, options.json);
}

}  // namespace breakeven
