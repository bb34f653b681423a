// Pure.
#include "data_pipeline/tokenizer/json_value.h"

#include <nlohmann/json.hpp>

#include "comm/base/error.h"
#include "comm/base/json_depth.h"

namespace breakeven {
namespace {

using nlohmann::json;

const json& Node(const void* node) {
  static const json null;
  return node == nullptr ? null : *static_cast<const json*>(node);
}

bool IsId(const json& value) {
  return value.is_number_integer() && value >= 0 && value <= INT32_MAX;
}

}  // namespace

struct JsonValue::Document {
  std::string file;
  json root;
};

JsonValue JsonValue::Parse(const std::string& file, std::string_view text) {
  CheckJsonDepth(text, file);
  auto document = std::make_shared<Document>();
  document->file = file;
  try {
    document->root = json::parse(text);
  } catch (const json::exception& error) {
    throw Error(ErrorKind::kBadData, file + ": not valid JSON: " + error.what() +
                                         ". Fetch or save the model folder again.");
  }
  const void* root = &document->root;
  return JsonValue(std::move(document), root, "");
}

bool JsonValue::IsNull() const { return Node(node_).is_null(); }
bool JsonValue::IsString() const { return Node(node_).is_string(); }
bool JsonValue::IsObject() const { return Node(node_).is_object(); }
bool JsonValue::IsArray() const { return Node(node_).is_array(); }

const std::string& JsonValue::String() const {
  if (!IsString()) Fail("a string");
  return Node(node_).get_ref<const std::string&>();
}

bool JsonValue::Bool() const {
  if (!Node(node_).is_boolean()) Fail("true or false");
  return Node(node_).get<bool>();
}

int32_t JsonValue::Id() const {
  if (!IsId(Node(node_))) Fail("an integer from 0 to 2147483647");
  return Node(node_).get<int32_t>();
}

std::string JsonValue::Child(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

bool JsonValue::Has(std::string_view key) const {
  return IsObject() && Node(node_).contains(std::string(key));
}

JsonValue JsonValue::Get(std::string_view key) const {
  if (!IsObject()) Fail("an object");
  const auto it = Node(node_).find(std::string(key));
  return JsonValue(document_, it == Node(node_).end() ? nullptr : &*it, Child(key));
}

bool JsonValue::Bool(std::string_view key, bool if_absent) const {
  const JsonValue value = Get(key);
  return value.IsNull() ? if_absent : value.Bool();
}

std::vector<JsonValue> JsonValue::Elements() const {
  if (!IsArray()) Fail("a list");
  std::vector<JsonValue> elements;
  for (const json& element : Node(node_)) {
    elements.push_back(
        JsonValue(document_, &element, path_ + "[" + std::to_string(elements.size()) + "]"));
  }
  return elements;
}

std::vector<std::pair<std::string, JsonValue>> JsonValue::Members() const {
  if (!IsObject()) Fail("an object");
  std::vector<std::pair<std::string, JsonValue>> members;
  for (const auto& [key, value] : Node(node_).items()) {
    members.emplace_back(key, JsonValue(document_, &value, Child(key)));
  }
  return members;
}

std::vector<std::pair<std::string, int32_t>> JsonValue::IdMembers() const {
  if (!IsObject()) Fail("an object that gives each token its id");
  std::vector<std::pair<std::string, int32_t>> members;
  members.reserve(Node(node_).size());
  for (const auto& [key, value] : Node(node_).items()) {
    if (!IsId(value)) Get(key).Fail("an integer from 0 to 2147483647");
    members.emplace_back(key, value.get<int32_t>());
  }
  return members;
}

std::string JsonValue::Dump() const { return Node(node_).dump(); }

void JsonValue::Fail(const std::string& supported) const {
  std::string found = node_ == nullptr ? "missing" : Dump();
  if (found.size() > 200) found = found.substr(0, 200) + "…";
  throw Error(ErrorKind::kBadData, document_->file + ": " + (path_.empty() ? "the file" : path_) +
                                       " is " + found + "; supported: " + supported);
}

void JsonValue::FailWith(const std::string& message) const {
  throw Error(ErrorKind::kBadData,
              document_->file + ": " + (path_.empty() ? "" : path_ + ": ") + message);
}

}  // namespace breakeven
