// Pure.
#include "data_pipeline/token_dataset_index.h"

#include <map>
#include <nlohmann/json.hpp>

#include "comm/base/error.h"
#include "comm/base/hash.h"

namespace breakeven {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kKind = "breakeven token dataset";
constexpr std::string_view kHashKey = ",\n  \"index_hash\": \"";
constexpr std::string_view kEnd = "\"\n}\n";
constexpr size_t kHashDigits = 16;

[[noreturn]] void Fail(const std::string& path, const std::string& message) {
  throw Error(ErrorKind::kBadData, path + ": " + message);
}

// The part that the hash covers; checks the hash.
std::string_view HashedPart(std::string_view text, const std::string& path) {
  const size_t tail = kHashKey.size() + kHashDigits + kEnd.size();
  if (text.size() < tail || text.substr(text.size() - tail, kHashKey.size()) != kHashKey ||
      !text.ends_with(kEnd)) {
    Fail(path, "does not end with its index_hash: truncated, edited, or not a dataset index");
  }
  const std::string_view hashed = text.substr(0, text.size() - tail);
  const std::string_view stored = text.substr(text.size() - kEnd.size() - kHashDigits, kHashDigits);
  const std::string found = HashHex(Hash64(hashed));
  if (stored != found) {
    Fail(path, "index hash: expected " + std::string(stored) + ", found " + found +
                   "; the file was edited or damaged: rerun `breakeven prepare`");
  }
  return hashed;
}

void CheckName(const std::string& name, const std::string& path) {
  const bool plain = !name.empty() && name[0] != '.' && name.find('/') == std::string::npos &&
                     name.find('\0') == std::string::npos;
  if (!plain) {
    Fail(path,
         "files: '" + name + "' is not a plain file name; files lie in the folder of the index");
  }
}

}  // namespace

std::string FormatTokenDatasetIndex(TokenDatasetIndex& index) {
  Json json;
  json["kind"] = kKind;
  json["format"] = index.info.format;
  json["split"] = index.info.split;
  json["tokenizer_fingerprint"] = index.info.tokenizer_fingerprint;
  json["template_fingerprint"] = index.info.template_fingerprint;
  json["vocab_size"] = index.info.vocab_size;
  json["config"] = index.info.config;
  json["source_hashes"] = index.info.source_hashes;
  json["counts"] = index.info.counts;
  json["files"] = Json::array();
  for (const TokenDatasetIndex::File& file : index.files) {
    Json entry;
    entry["name"] = file.name;
    entry["content_hash"] = file.content_hash;
    entry["num_examples"] = file.num_examples;
    entry["num_tokens"] = file.num_tokens;
    entry["num_targets"] = file.num_targets;
    json["files"].push_back(std::move(entry));
  }
  std::string text = json.dump(2);
  text.resize(text.size() - 2);  // "\n}"
  index.info.content_hash = HashHex(Hash64(text));
  return text.append(kHashKey).append(index.info.content_hash).append(kEnd);
}

TokenDatasetIndex ParseTokenDatasetIndex(std::string_view text, const std::string& path) {
  const std::string_view hashed = HashedPart(text, path);
  TokenDatasetIndex index;
  try {
    const Json json = Json::parse(std::string(hashed) + "}");
    if (json.at("kind") != kKind) Fail(path, "not the index of a token dataset");
    index.info.format = json.at("format");
    if (index.info.format != kTokenDatasetFormat) {
      Fail(path, "dataset format " + std::to_string(index.info.format) +
                     "; this program reads format " + std::to_string(kTokenDatasetFormat));
    }
    index.info.split = json.at("split");
    index.info.tokenizer_fingerprint = json.at("tokenizer_fingerprint");
    index.info.template_fingerprint = json.at("template_fingerprint");
    index.info.vocab_size = json.at("vocab_size");
    index.info.config = json.at("config");
    index.info.source_hashes = json.at("source_hashes").get<std::map<std::string, std::string>>();
    index.info.counts = json.at("counts").get<std::map<std::string, int64_t>>();
    for (const Json& entry : json.at("files")) {
      index.files.push_back({entry.at("name"), entry.at("content_hash"), entry.at("num_examples"),
                             entry.at("num_tokens"), entry.at("num_targets")});
      CheckName(index.files.back().name, path);
    }
  } catch (const nlohmann::json::exception& e) {
    Fail(path, std::string("not the index of a token dataset: ") + e.what());
  }
  if (index.files.empty()) Fail(path, "the index lists no files");
  index.info.content_hash = HashHex(Hash64(hashed));
  return index;
}

}  // namespace breakeven
