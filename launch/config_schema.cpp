// Pure. Three visitors: one learns a struct's shape, one its values, one writes values into it.
#include "launch/config_schema.h"

#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "comm/base/error.h"

namespace breakeven {
namespace {

ConfigNode NodeOf(bool value) { return ScalarNode(value ? "true" : "false", false); }
ConfigNode NodeOf(int64_t value) { return ScalarNode(std::to_string(value), false); }
ConfigNode NodeOf(double value) { return ScalarNode(FormatNumber(value), false); }
ConfigNode NodeOf(const std::string& value) { return ScalarNode(value, true); }

class SchemaVisitor : public FieldVisitor {
 public:
  SchemaVisitor() { stack_.emplace_back(); }
  FieldSchema Take() { return std::move(stack_.front()); }

 protected:
  void Scalar(const FieldInfo& info, bool& value) override {
    Leaf(info, FieldSchema::Type::kBool, NodeOf(value));
  }
  void Scalar(const FieldInfo& info, int64_t& value) override {
    Leaf(info, FieldSchema::Type::kInteger, NodeOf(value));
  }
  void Scalar(const FieldInfo& info, double& value) override {
    Leaf(info, FieldSchema::Type::kNumber, NodeOf(value));
  }
  void Scalar(const FieldInfo& info, std::string& value) override {
    Leaf(info, FieldSchema::Type::kText, NodeOf(value));
  }

  bool BeginStruct(const FieldInfo& info) override {
    Open(info, FieldSchema::Type::kStruct);
    return true;
  }
  void EndStruct(const FieldInfo&) override { Close(); }
  bool HasValue(const FieldInfo&, bool) override {
    optional_ = true;
    return true;
  }
  std::optional<size_t> BeginList(const FieldInfo& info, size_t, bool) override {
    Open(info, FieldSchema::Type::kList);
    return 1;
  }
  void EndList(const FieldInfo&) override { Close(); }
  std::optional<std::vector<std::string>> BeginMap(const FieldInfo& info,
                                                   const std::vector<std::string>&) override {
    Open(info, FieldSchema::Type::kMap);
    return std::vector<std::string>{"NAME"};
  }
  void EndMap(const FieldInfo&) override { Close(); }

 private:
  void Open(const FieldInfo& info, FieldSchema::Type type) {
    FieldSchema schema;
    schema.type = type;
    schema.name = info.name;
    schema.help = info.help;
    schema.limits = info.limits;
    schema.hashed = info.hashed;
    schema.optional = std::exchange(optional_, false);
    stack_.push_back(std::move(schema));
  }
  void Close() {
    FieldSchema schema = std::move(stack_.back());
    stack_.pop_back();
    stack_.back().fields.push_back(std::move(schema));
  }
  void Leaf(const FieldInfo& info, FieldSchema::Type type, ConfigNode initial) {
    Open(info, type);
    stack_.back().initial = std::move(initial);
    Close();
  }

  std::vector<FieldSchema> stack_;
  bool optional_ = false;
};

class TreeVisitor : public FieldVisitor {
 public:
  TreeVisitor() { Open(ConfigNode::Kind::kMap); }
  ConfigNode Take() { return std::move(stack_.front()); }

 protected:
  void Scalar(const FieldInfo& info, bool& value) override { Put(info, NodeOf(value)); }
  void Scalar(const FieldInfo& info, int64_t& value) override { Put(info, NodeOf(value)); }
  void Scalar(const FieldInfo& info, double& value) override { Put(info, NodeOf(value)); }
  void Scalar(const FieldInfo& info, std::string& value) override { Put(info, NodeOf(value)); }

  bool BeginStruct(const FieldInfo&) override {
    Open(ConfigNode::Kind::kMap);
    return true;
  }
  void EndStruct(const FieldInfo& info) override { Close(info); }
  bool HasValue(const FieldInfo& info, bool has_value) override {
    if (!has_value) Put(info, ConfigNode{});
    return has_value;
  }
  std::optional<size_t> BeginList(const FieldInfo&, size_t size, bool) override {
    Open(ConfigNode::Kind::kList);
    return size;
  }
  void EndList(const FieldInfo& info) override { Close(info); }
  std::optional<std::vector<std::string>> BeginMap(const FieldInfo&,
                                                   const std::vector<std::string>& keys) override {
    Open(ConfigNode::Kind::kMap);
    return keys;
  }
  void EndMap(const FieldInfo& info) override { Close(info); }

 private:
  void Open(ConfigNode::Kind kind) {
    ConfigNode node;
    node.kind = kind;
    stack_.push_back(std::move(node));
  }
  void Close(const FieldInfo& info) {
    ConfigNode node = std::move(stack_.back());
    stack_.pop_back();
    Put(info, std::move(node));
  }
  void Put(const FieldInfo& info, ConfigNode node) {
    if (stack_.back().is_list()) {
      stack_.back().items.push_back(std::move(node));
    } else {
      stack_.back().Add(info.name, std::move(node));
    }
  }

  std::vector<ConfigNode> stack_;
};

class FillVisitor : public FieldVisitor {
 public:
  explicit FillVisitor(const ConfigNode& root) : stack_{&root} {}

 protected:
  void Scalar(const FieldInfo& info, bool& value) override {
    if (const ConfigNode* node = Child(info)) Check(ParseBool(node->text, value), info);
  }
  void Scalar(const FieldInfo& info, int64_t& value) override {
    if (const ConfigNode* node = Child(info)) Check(ParseInteger(node->text, value), info);
  }
  void Scalar(const FieldInfo& info, double& value) override {
    if (const ConfigNode* node = Child(info)) Check(ParseNumber(node->text, value), info);
  }
  void Scalar(const FieldInfo& info, std::string& value) override {
    if (const ConfigNode* node = Child(info)) value = node->text;
  }

  bool BeginStruct(const FieldInfo& info) override { return Enter(info); }
  void EndStruct(const FieldInfo&) override { stack_.pop_back(); }
  bool HasValue(const FieldInfo& info, bool has_value) override {
    const ConfigNode* node = Child(info);
    return node == nullptr ? has_value : !node->is_null();
  }
  std::optional<size_t> BeginList(const FieldInfo& info, size_t, bool) override {
    if (!Enter(info)) return std::nullopt;
    return stack_.back()->items.size();
  }
  void EndList(const FieldInfo&) override { stack_.pop_back(); }
  std::optional<std::vector<std::string>> BeginMap(const FieldInfo& info,
                                                   const std::vector<std::string>&) override {
    if (!Enter(info)) return std::nullopt;
    std::vector<std::string> keys;
    for (const ConfigEntry& entry : stack_.back()->entries) keys.push_back(entry.key);
    return keys;
  }
  void EndMap(const FieldInfo&) override { stack_.pop_back(); }

 private:
  const ConfigNode* Child(const FieldInfo& info) const {
    const ConfigNode* parent = stack_.back();
    if (!parent->is_list()) return parent->Find(info.name);
    int64_t index = 0;
    Check(ParseInteger(info.name, index), info);
    return &parent->items[static_cast<size_t>(index)];
  }
  bool Enter(const FieldInfo& info) {
    const ConfigNode* node = Child(info);
    if (node != nullptr) stack_.push_back(node);
    return node != nullptr;
  }
  static void Check(bool parsed, const FieldInfo& info) {
    BE_CHECK(parsed, "an unchecked config value reached field " + std::string(info.name));
  }

  std::vector<const ConfigNode*> stack_;
};

std::string AllowedNumbers(const FieldLimits& limits, std::string text) {
  if (std::isfinite(limits.min) && std::isfinite(limits.max)) {
    return text + (limits.open_min ? " above " : " from ") + FormatNumber(limits.min) +
           (limits.open_min ? " and at most " : " to ") + FormatNumber(limits.max);
  }
  if (std::isfinite(limits.min)) {
    return text + (limits.open_min ? " above " : ", at least ") + FormatNumber(limits.min);
  }
  if (std::isfinite(limits.max)) return text + ", at most " + FormatNumber(limits.max);
  return text;
}

}  // namespace

const FieldSchema* FieldSchema::Find(std::string_view key) const {
  for (const FieldSchema& field : fields) {
    if (field.name == key) return &field;
  }
  return nullptr;
}

std::vector<std::string> FieldSchema::FieldNames() const {
  std::vector<std::string> names;
  for (const FieldSchema& field : fields) names.push_back(field.name);
  return names;
}

std::string FieldSchema::Allowed() const {
  switch (type) {
    case Type::kBool:
      return "true or false";
    case Type::kInteger:
      return AllowedNumbers(limits, "an integer");
    case Type::kNumber:
      return AllowedNumbers(limits, "a number");
    case Type::kText: {
      if (limits.choices.empty()) return "a text";
      std::string text = "one of ";
      for (size_t i = 0; i < limits.choices.size(); ++i) {
        text += (i == 0 ? "" : ", ") + std::string(limits.choices[i]);
      }
      return text;
    }
    case Type::kStruct:
      return "a section (a map), or the path of a .yaml file that holds it";
    case Type::kList:
      return element().is_scalar() ? "a list, each element " + element().Allowed()
                                   : "a list of sections";
    case Type::kMap:
      return "a map from names to " + (element().is_scalar() ? element().Allowed() : "sections");
  }
  return "";
}

FieldSchema BuildSchema(const VisitNew& visit) {
  SchemaVisitor visitor;
  visit(visitor);
  return visitor.Take();
}

ConfigNode BuildTree(const VisitNew& visit) {
  TreeVisitor visitor;
  visit(visitor);
  return visitor.Take();
}

void FillFields(const ConfigNode& tree, const VisitNew& visit) {
  FillVisitor visitor(tree);
  visit(visitor);
}

}  // namespace breakeven
