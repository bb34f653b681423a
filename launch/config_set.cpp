#include "launch/config_set.h"

#include <utility>
#include <vector>

#include "comm/base/error.h"
#include "data_pipeline/template/unicode.h"
#include "launch/config_section.h"
#include "launch/yaml_document.h"

namespace breakeven {
namespace {

// One --set on its way down the tree.
class Setter {
 public:
  explicit Setter(const std::string& option) : option_(option) {
    place_.source = "--set " + option;
    const size_t equals = option.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw Error(ErrorKind::kUsage, place_.source + ": expected path.to.key=value");
    }
    value_ = option.substr(equals + 1);
    parts_ = SplitPath(std::string_view(option).substr(0, equals));
  }

  void Apply(const FieldSchema& schema, const ConfigNode* defaults, ConfigNode& node, size_t part,
             const std::string& path) {
    if (part == parts_.size()) {
      node = ParseValue(schema);
      return;
    }
    if (schema.is_scalar()) {
      Fail(path + " is " + schema.Allowed() + " and has no keys of its own");
    }
    Materialise(schema, defaults, node, path);
    const std::string& key = parts_[part];
    const std::string below = JoinPath(path, key);
    if (schema.type == FieldSchema::Type::kList) {
      ConfigNode& item = Item(node, key, path);
      return Apply(schema.element(), nullptr, item, part + 1, below);
    }
    const FieldSchema* child =
        schema.type == FieldSchema::Type::kMap ? &schema.element() : schema.Find(key);
    if (child == nullptr) Fail(UnknownKeyMessage(key, path, schema));
    ConfigNode* value = node.Find(key);
    if (value == nullptr) {
      ConfigNode empty;
      empty.place = place_;
      value = &node.Add(key, std::move(empty));
    }
    Apply(*child, defaults != nullptr && defaults->is_map() ? defaults->Find(key) : nullptr, *value,
          part + 1, below);
  }

 private:
  [[noreturn]] void Fail(const std::string& message) const {
    throw Error(ErrorKind::kUsage, place_.source + ": " + message);
  }

  // Makes `node` something that has children: a file's content, the struct's own default list, an
  // empty container.
  void Materialise(const FieldSchema& schema, const ConfigNode* defaults, ConfigNode& node,
                   const std::string& path) const {
    if (schema.type == FieldSchema::Type::kStruct) {
      if (node.is_scalar()) node = ReadSection(node, path);
      if (node.is_null()) node.kind = ConfigNode::Kind::kMap;
    } else if (node.is_null()) {
      if (defaults != nullptr && !defaults->is_null()) node = *defaults;
      node.kind = schema.type == FieldSchema::Type::kList ? ConfigNode::Kind::kList
                                                          : ConfigNode::Kind::kMap;
    } else if (node.is_scalar() && schema.type == FieldSchema::Type::kList) {
      ConfigNode list;
      list.kind = ConfigNode::Kind::kList;
      list.place = node.place;
      list.items.push_back(std::move(node));
      node = std::move(list);
    }
    const bool wants_list = schema.type == FieldSchema::Type::kList;
    if (wants_list ? !node.is_list() : !node.is_map()) {
      Fail(path + " is " + DescribeNode(node) + " in " + node.place.Text() + ", expected " +
           schema.Allowed());
    }
  }

  ConfigNode& Item(ConfigNode& list, const std::string& key, const std::string& path) const {
    int64_t index = -1;
    const auto size = static_cast<int64_t>(list.items.size());
    if (!ParseInteger(key, index) || index < 0 || index > size) {
      Fail(path + " is a list of " + std::to_string(size) + ": expected an index from 0 to " +
           std::to_string(size) + " (the last appends), found '" + key + "'");
    }
    if (index == size) {
      ConfigNode empty;
      empty.place = place_;
      list.items.push_back(std::move(empty));
    }
    return list.items[static_cast<size_t>(index)];
  }

  ConfigNode RawText() const {
    ConfigNode node = ScalarNode(value_, true);
    node.place = place_;
    return node;
  }

  ConfigNode ParseValue(const FieldSchema& schema) const {
    const bool text = schema.type == FieldSchema::Type::kText;
    const bool texts = schema.type == FieldSchema::Type::kList &&
                       schema.element().type == FieldSchema::Type::kText;
    if (value_.empty()) {
      ConfigNode empty;
      empty.place = place_;
      return text ? RawText() : empty;
    }
    try {
      ConfigNode node = ParseYamlText(value_, place_);
      // "Question: what" is a map to YAML and a text to whoever types it.
      if (text && !node.is_scalar() && !(node.is_null() && schema.optional)) return RawText();
      if (texts && node.is_map()) return RawText();
      return node;
    } catch (const Error&) {
      if (text || texts) return RawText();
      throw;
    }
  }

  std::string option_;
  ConfigPlace place_;
  std::string value_;
  std::vector<std::string> parts_;
};

}  // namespace

void ApplySet(const std::string& option, const FieldSchema& schema, const ConfigNode& defaults,
              ConfigNode& tree) {
  const size_t invalid = unicode::FindInvalidUtf8(option);
  if (invalid != std::string_view::npos) {
    throw Error(ErrorKind::kUsage, "--set " + option.substr(0, option.find('=')) + ": byte " +
                                       std::to_string(invalid) +
                                       " is not UTF-8 text; rename the file, or type it in a UTF-8 "
                                       "terminal");
  }
  Setter setter(option);
  setter.Apply(schema, &defaults, tree, 0, "");
}

}  // namespace breakeven
