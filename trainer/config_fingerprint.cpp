// Pure.
#include "trainer/config_fingerprint.h"

#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "comm/base/hash.h"

namespace breakeven {
namespace {

// Reads fields as (path, type, value) triples into a hash.
class HashingVisitor : public FieldVisitor {
 public:
  std::string Hex() const { return hasher_.Hex(); }

 protected:
  void Scalar(const FieldInfo& info, bool& value) override { Add(info, value ? "true" : "false"); }
  void Scalar(const FieldInfo& info, int64_t& value) override { Add(info, std::to_string(value)); }
  void Scalar(const FieldInfo& info, double& value) override {
    Add(info, HashHex(std::bit_cast<uint64_t>(value)));  // all bits: no printing in between
  }
  void Scalar(const FieldInfo& info, std::string& value) override { Add(info, value); }

  bool BeginStruct(const FieldInfo& info) override { return Enter(info); }
  void EndStruct(const FieldInfo&) override { path_.pop_back(); }
  bool HasValue(const FieldInfo& info, bool has_value) override { return info.hashed && has_value; }
  std::optional<size_t> BeginList(const FieldInfo& info, size_t size, bool) override {
    if (!Enter(info)) return std::nullopt;
    return size;
  }
  void EndList(const FieldInfo&) override { path_.pop_back(); }
  std::optional<std::vector<std::string>> BeginMap(const FieldInfo& info,
                                                   const std::vector<std::string>& keys) override {
    if (!Enter(info)) return std::nullopt;
    return keys;
  }
  void EndMap(const FieldInfo&) override { path_.pop_back(); }

 private:
  bool Enter(const FieldInfo& info) {
    if (info.hashed) path_.emplace_back(info.name);
    return info.hashed;
  }

  void Add(const FieldInfo& info, std::string_view value) {
    if (!info.hashed) return;
    for (const std::string& part : path_) hasher_.UpdateField(part);
    hasher_.UpdateField(info.name);
    hasher_.UpdateField(value);
  }

  Hasher hasher_;
  std::vector<std::string> path_;
};

template <typename Config>
std::string FieldsHash(Config copy) {
  HashingVisitor visitor;
  copy.VisitFields(visitor);
  return visitor.Hex();
}

}  // namespace

std::string ConfigFingerprint(const TrainConfig& config) { return FieldsHash(config); }

std::string ConfigFingerprint(const EvalConfig& config) { return FieldsHash(config); }

std::string SettingsFingerprint(const TrainConfig& config) {
  TrainConfig copy = config;
  copy.epochs = TrainConfig().epochs;
  copy.max_steps = TrainConfig().max_steps;
  return FieldsHash(std::move(copy));
}

std::string PlanFingerprint(const TrainConfig& config) {
  Hasher hasher;
  hasher.UpdateField(std::to_string(config.seed));
  hasher.UpdateField(std::to_string(config.batching.global_batch.examples));
  hasher.UpdateField(std::to_string(config.batching.global_batch.tokens));
  hasher.UpdateField(config.batching.shuffle ? "shuffled" : "in order");
  return hasher.Hex();
}

}  // namespace breakeven
