// Pure.
#include "data_pipeline/hdf5_layout.h"

#include <bit>
#include <charconv>
#include <nlohmann/json.hpp>

#include "comm/base/error.h"
#include "comm/base/hash.h"

namespace breakeven {
namespace {

static_assert(std::endian::native == std::endian::little,
              "arrays are hashed and mapped as they stand in the file");

template <typename T>
void HashArray(Hasher& hasher, std::string_view name, std::string_view type, std::string_view shape,
               std::span<const T> values) {
  hasher.UpdateField("dataset");
  hasher.UpdateField(name);
  hasher.UpdateField(type);
  hasher.UpdateField(shape);
  hasher.UpdateField({reinterpret_cast<const char*>(values.data()), values.size_bytes()});
}

void HashUint64s(Hasher& hasher, std::string_view name, std::span<const uint64_t> values) {
  HashArray(hasher, name, "uint64", std::to_string(values.size()), values);
}

int64_t ParseInt(const std::string& text, const std::string& path, const char* attribute) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw Error(ErrorKind::kBadData,
                path + ": attribute '" + attribute + "': expected a number, found '" + text + "'");
  }
  return value;
}

template <typename Map>
Map ParseMap(const std::string& text, const std::string& path, const char* attribute) {
  try {
    return nlohmann::json::parse(text).get<Map>();
  } catch (const nlohmann::json::exception& e) {
    throw Error(ErrorKind::kBadData,
                path + ": attribute '" + attribute + "' is not the JSON it must be: " + e.what());
  }
}

}  // namespace

std::map<std::string, std::string> AttributesOf(const TokenDatasetInfo& info) {
  return {{"format", std::to_string(info.format)},
          {"split", info.split},
          {"tokenizer_fingerprint", info.tokenizer_fingerprint},
          {"template_fingerprint", info.template_fingerprint},
          {"vocab_size", std::to_string(info.vocab_size)},
          {"config", info.config},
          {"source_hashes", nlohmann::json(info.source_hashes).dump()},
          {"counts", nlohmann::json(info.counts).dump()}};
}

TokenDatasetInfo InfoFromAttributes(const std::map<std::string, std::string>& attributes,
                                    const std::string& path) {
  TokenDatasetInfo info;
  info.format = ParseInt(attributes.at("format"), path, "format");
  info.split = attributes.at("split");
  info.tokenizer_fingerprint = attributes.at("tokenizer_fingerprint");
  info.template_fingerprint = attributes.at("template_fingerprint");
  info.vocab_size = ParseInt(attributes.at("vocab_size"), path, "vocab_size");
  info.config = attributes.at("config");
  info.source_hashes = ParseMap<std::map<std::string, std::string>>(attributes.at("source_hashes"),
                                                                    path, "source_hashes");
  info.counts = ParseMap<std::map<std::string, int64_t>>(attributes.at("counts"), path, "counts");
  return info;
}

std::string ContentHash(const std::map<std::string, std::string>& attributes,
                        const TokenIndexView& index, int64_t token_bytes) {
  Hasher hasher;
  for (const auto& [name, value] : attributes) {
    if (name == "content_hash") continue;
    hasher.UpdateField("attribute");
    hasher.UpdateField(name);
    hasher.UpdateField(value);
  }
  HashUint64s(hasher, "block_hashes", index.block_hashes);
  HashUint64s(hasher, "example_ids", index.example_ids);
  HashUint64s(hasher, "example_offsets", index.example_offsets);
  HashUint64s(hasher, "groups", index.groups);
  HashArray(hasher, "num_targets", "uint32", std::to_string(index.num_targets.size()),
            index.num_targets);
  HashUint64s(hasher, "target_span_offsets", index.target_span_offsets);
  HashArray(hasher, "target_spans", "uint32", std::to_string(index.target_spans.size()) + ",2",
            index.target_spans);
  HashArray(hasher, "tokens", token_bytes == 2 ? "uint16" : "uint32",
            std::to_string(index.num_tokens), std::span<const char>());
  return hasher.Hex();
}

uint32_t CountTargets(std::span<const TargetSpan> spans) {
  uint32_t count = 0;
  for (const TargetSpan& span : spans) {
    count += span.end - span.begin;
    if (span.begin == 0 && span.end > 0) --count;
  }
  return count;
}

}  // namespace breakeven
