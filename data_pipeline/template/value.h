// Pure. The value of a document field and of a template expression: what JSON can say.
#ifndef BREAKEVEN_DATA_PIPELINE_TEMPLATE_VALUE_H_
#define BREAKEVEN_DATA_PIPELINE_TEMPLATE_VALUE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace breakeven {

class Value;
using List = std::vector<Value>;

// String keys in order of insertion, as Python's dict.
class Dict {
 public:
  Dict();
  Dict(const Dict&);
  Dict(Dict&&) noexcept;
  Dict& operator=(const Dict&);
  Dict& operator=(Dict&&) noexcept;
  ~Dict();

  const Value* Find(std::string_view key) const;  // nullptr when absent; valid until the next Set
  void Set(std::string_view key, Value value);    // replaces in place, or appends
  const std::vector<std::pair<std::string, Value>>& items() const;
  size_t size() const;
  bool operator==(const Dict& other) const;
  static Dict FromItems(std::vector<std::pair<std::string, Value>> items);  // the keys must differ

 private:
  std::vector<std::pair<std::string, Value>> items_;
};

// Copyable; strings are UTF-8.
class Value {
 public:
  using Storage = std::variant<std::monostate, bool, int64_t, double, std::string, List, Dict>;

  Value() = default;  // none
  Value(bool value) : storage_(value) {}
  Value(int64_t value) : storage_(value) {}
  Value(int value) : storage_(static_cast<int64_t>(value)) {}
  Value(double value) : storage_(value) {}
  Value(std::string value) : storage_(std::move(value)) {}
  Value(std::string_view value) : storage_(std::string(value)) {}
  Value(const char* value) : storage_(std::string(value)) {}
  Value(List value) : storage_(std::move(value)) {}
  Value(Dict value) : storage_(std::move(value)) {}

  bool is_none() const { return std::holds_alternative<std::monostate>(storage_); }
  template <typename T>
  bool is() const {
    return std::holds_alternative<T>(storage_);
  }
  // nullptr when the value is of another type.
  template <typename T>
  const T* get_if() const {
    return std::get_if<T>(&storage_);
  }
  const Storage& storage() const { return storage_; }
  // "none", "bool", "int", "float", "string", "list", "dict": for messages.
  std::string_view type_name() const;
  bool operator==(const Value& other) const = default;

 private:
  Storage storage_;
};

// One JSON text, nested at most 200 deep. Integers that fit int64 stay integers, larger ones become
// floats. Error(kBadData) with the byte offset; `where` ("data.jsonl line 12") starts the message.
// Duplicate keys: the last wins, in the place of the first, as in Python.
Value ParseJson(std::string_view text, std::string_view where);
// Compact JSON, non-ASCII left as it is, keys in order; floats read back exactly (JSON has no
// infinity: null).
std::string ToJson(const Value& value);

// `text` as a JSON string with its quotes; `ascii` writes everything beyond ASCII as \uXXXX, as
// Python does by default.
void AppendJsonString(std::string& json, std::string_view text, bool ascii);
// The shortest digits that read back exactly, in Python's form: 1.0, 0.1, 1e+16, inf, nan.
std::string FloatText(double value);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_TEMPLATE_VALUE_H_
