// Pure.
#include "trainer/checkpoint/manifest.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/hash.h"

namespace breakeven {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kWeightsFile = "model.safetensors";
constexpr const char* kTrainerStateFolder = "trainer_state/";

[[noreturn]] void Refuse(const std::string& path, const std::string& why) {
  throw Error(ErrorKind::kBadData, path + ": " + why);
}

Json RecordsToJson(const FileRecords& records) {
  Json files = Json::object();
  for (const auto& [name, record] : records) {
    files[name] = {{"bytes", record.num_bytes}, {"xxh3", record.hash}};
  }
  return files;
}

FileRecords RecordsOfJson(const Json& json) {
  FileRecords files;
  for (const auto& [name, record] : json.items()) {
    files[name] = {record.at("bytes").get<int64_t>(), record.at("xxh3").get<std::string>()};
  }
  return files;
}

Json Body(const Manifest& manifest) {
  return {{"format", manifest.format},
          {"step", manifest.step},
          {"files", RecordsToJson(manifest.files)}};
}

// A file name of ours: below the folder, never outside.
bool IsInside(const std::string& name) {
  const std::filesystem::path path(name);
  if (name.empty() || path.is_absolute()) return false;
  for (const auto& part : path) {
    if (part == ".." || part == ".") return false;
  }
  return true;
}

// What differs, or nothing. `hash_of` reads the file.
template <typename HashOf>
std::optional<std::string> Difference(const std::string& path, const FileRecord& expected,
                                      const HashOf& hash_of) {
  std::error_code error;
  const auto found = std::filesystem::file_size(path, error);
  if (error) return "named by manifest.json and missing: " + error.message();
  if (static_cast<int64_t>(found) != expected.num_bytes) {
    return "has " + std::to_string(found) + " bytes, manifest.json says " +
           std::to_string(expected.num_bytes);
  }
  const std::string hash = hash_of(path);
  if (hash == expected.hash) return std::nullopt;
  return "content hash is " + hash + ", manifest.json says " + expected.hash;
}

std::string HashHexOfFile(const std::string& path) { return HashHex(HashFile(path)); }

}  // namespace

void VerifyFile(const std::string& path, const FileRecord& expected) {
  if (const auto difference = Difference(path, expected, HashHexOfFile)) Refuse(path, *difference);
}

void VerifyWrittenFile(const std::string& path, const FileRecord& expected) {
  const auto on_disk = [](const std::string& file) { return HashHex(HashFileOnDisk(file)); };
  if (const auto difference = Difference(path, expected, on_disk)) Refuse(path, *difference);
}

std::string FormatRecords(const FileRecords& files) { return RecordsToJson(files).dump(); }

FileRecords ParseRecords(const std::string& json) { return RecordsOfJson(Json::parse(json)); }

std::string Manifest::Hash() const { return HashHex(Hash64(Body(*this).dump())); }

std::string Manifest::ToJson() const {
  Json json = Body(*this);
  json["hash"] = Hash();
  return json.dump(1) + "\n";
}

void CheckFormat(int64_t format, const std::string& path) {
  if (format >= 1 && format <= kCheckpointFormat) return;
  Refuse(path, "format " + std::to_string(format) + ", this program reads formats 1 to " +
                   std::to_string(kCheckpointFormat));
}

Manifest ReadManifest(const std::string& folder) {
  const std::string path = folder + "/manifest.json";
  if (!std::filesystem::exists(path)) {
    Refuse(folder,
           "no checkpoint: it has no manifest.json (never finished, or no folder of `breakeven "
           "train`)");
  }
  Manifest manifest;
  std::string found_hash;
  try {
    const Json json = Json::parse(ReadFile(path));
    manifest.format = json.at("format").get<int64_t>();
    CheckFormat(manifest.format, path);
    manifest.step = json.at("step").get<int64_t>();
    manifest.files = RecordsOfJson(json.at("files"));
    for (const auto& [name, record] : manifest.files) {
      if (!IsInside(name)) Refuse(path, "names \"" + name + "\", which is no file of the folder");
    }
    found_hash = json.at("hash").get<std::string>();
  } catch (const nlohmann::json::parse_error& error) {  // its text would repeat the bytes
    Refuse(path, "damaged: no JSON at byte " + std::to_string(error.byte));
  } catch (const nlohmann::json::exception& error) {
    Refuse(path, std::string("damaged: ") + error.what());
  }
  if (found_hash != manifest.Hash()) {
    Refuse(path, "damaged: its own hash is " + manifest.Hash() + ", it says " + found_hash);
  }
  return manifest;
}

Manifest VerifyCheckpoint(const std::string& folder) {
  Manifest manifest = ReadManifest(folder);
  for (const auto& [name, record] : manifest.files) VerifyFile(folder + "/" + name, record);
  return manifest;
}

void VerifyModelFiles(const std::string& folder, const std::string& weights_hash) {
  if (!std::filesystem::exists(folder + "/manifest.json")) return;
  const Manifest manifest = ReadManifest(folder);
  if (!manifest.files.contains(kWeightsFile)) {
    Refuse(folder + "/manifest.json", std::string("does not name ") + kWeightsFile);
  }
  for (const auto& [name, record] : manifest.files) {
    if (name.starts_with(kTrainerStateFolder)) continue;
    const bool known = name == kWeightsFile && !weights_hash.empty();
    const auto difference = Difference(folder + "/" + name, record, [&](const std::string& path) {
      return known ? weights_hash : HashHexOfFile(path);
    });
    if (!difference.has_value()) continue;
    Refuse(folder + "/" + name,
           *difference +
               ". The checkpoint is damaged: take another one. If you have changed the file "
               "yourself, delete manifest.json");
  }
}

}  // namespace breakeven
