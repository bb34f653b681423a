// Pure.
#include "trainer/checkpoint/manifest.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/hash.h"

namespace breakeven {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void Refuse(const std::string& path, const std::string& why) {
  throw Error(ErrorKind::kBadData, path + ": " + why);
}

Json Body(const Manifest& manifest) {
  Json files = Json::object();
  for (const auto& [name, record] : manifest.files) {
    files[name] = {{"bytes", record.num_bytes}, {"xxh3", record.hash}};
  }
  return {{"format", kCheckpointFormat}, {"step", manifest.step}, {"files", files}};
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

void VerifyFile(const std::string& path, const FileRecord& expected) {
  std::error_code error;
  const auto found = std::filesystem::file_size(path, error);
  if (error) Refuse(path, "named by manifest.json and missing: " + error.message());
  if (static_cast<int64_t>(found) != expected.num_bytes) {
    Refuse(path, "has " + std::to_string(found) + " bytes, manifest.json says " +
                     std::to_string(expected.num_bytes));
  }
  const std::string hash = HashHex(HashFile(path));
  if (hash != expected.hash) {
    Refuse(path, "content hash is " + hash + ", manifest.json says " + expected.hash);
  }
}

}  // namespace

std::string Manifest::Hash() const { return HashHex(Hash64(Body(*this).dump())); }

std::string Manifest::ToJson() const {
  Json json = Body(*this);
  json["hash"] = Hash();
  return json.dump(1) + "\n";
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
    const int64_t format = json.at("format").get<int64_t>();
    if (format != kCheckpointFormat) {
      Refuse(path, "format " + std::to_string(format) + ", this program reads format " +
                       std::to_string(kCheckpointFormat));
    }
    manifest.step = json.at("step").get<int64_t>();
    for (const auto& [name, record] : json.at("files").items()) {
      if (!IsInside(name)) Refuse(path, "names \"" + name + "\", which is no file of the folder");
      manifest.files[name] = {record.at("bytes").get<int64_t>(),
                              record.at("xxh3").get<std::string>()};
    }
    found_hash = json.at("hash").get<std::string>();
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

}  // namespace breakeven
