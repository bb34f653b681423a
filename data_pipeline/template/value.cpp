// Pure.
#include "data_pipeline/template/value.h"

#include <array>

namespace breakeven {

Dict::Dict() = default;
Dict::Dict(const Dict&) = default;
Dict::Dict(Dict&&) noexcept = default;
Dict& Dict::operator=(const Dict&) = default;
Dict& Dict::operator=(Dict&&) noexcept = default;
Dict::~Dict() = default;

const Value* Dict::Find(std::string_view key) const {
  for (const auto& [name, value] : items_) {
    if (name == key) return &value;
  }
  return nullptr;
}

void Dict::Set(std::string_view key, Value value) {
  for (auto& [name, old] : items_) {
    if (name == key) {
      old = std::move(value);
      return;
    }
  }
  items_.emplace_back(std::string(key), std::move(value));
}

const std::vector<std::pair<std::string, Value>>& Dict::items() const { return items_; }

size_t Dict::size() const { return items_.size(); }

// Order does not count, as in Python.
bool Dict::operator==(const Dict& other) const {
  if (size() != other.size()) return false;
  for (const auto& [name, value] : items_) {
    const Value* theirs = other.Find(name);
    if (theirs == nullptr || !(*theirs == value)) return false;
  }
  return true;
}

Dict Dict::FromItems(std::vector<std::pair<std::string, Value>> items) {
  Dict dict;
  dict.items_ = std::move(items);
  return dict;
}

std::string_view Value::type_name() const {
  constexpr std::array<std::string_view, 7> kNames = {"none",   "bool", "int", "float",
                                                      "string", "list", "dict"};
  return kNames[storage_.index()];
}

}  // namespace breakeven
