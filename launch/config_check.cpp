#include "launch/config_check.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include "comm/base/error.h"
#include "comm/base/suggest.h"
#include "launch/yaml_document.h"

namespace breakeven {
namespace {

constexpr int kMaxFileDepth = 8;
constexpr size_t kMaxProblems = 20;

bool EndsWith(std::string_view text, std::string_view ending) {
  return text.size() >= ending.size() && text.substr(text.size() - ending.size()) == ending;
}

bool IsConfigPath(std::string_view text) {
  return EndsWith(text, ".yaml") || EndsWith(text, ".yml") || EndsWith(text, ".json");
}

// "unknown key 'x'" with the nearest of the keys there are.
std::string UnknownKey(const std::string& key, const std::string& where,
                       const FieldSchema& schema) {
  const std::vector<std::string> names = schema.FieldNames();
  const std::string nearest = NearestName(key, names);
  std::string message = "unknown key '" + key + "'" + (where.empty() ? "" : " in " + where) + ".";
  if (!nearest.empty()) message += " Did you mean '" + nearest + "'?";
  message += " Known here:";
  for (size_t i = 0; i < names.size(); ++i) message += (i == 0 ? " " : ", ") + names[i];
  return message;
}

// Reads the file that a scalar names in place of a section.
ConfigNode ReadSection(const ConfigNode& node, const std::string& path) {
  if (!IsConfigPath(node.text)) {
    throw Error(ErrorKind::kUsage,
                node.place.Text() + ": " + path + ": found " + DescribeNode(node) +
                    ", expected a section (a map) or the path of a .yaml file that holds it");
  }
  const std::string file = node.text[0] == '/' ? node.text : node.place.Folder() + node.text;
  try {
    return ParseYamlFile(file);
  } catch (const Error& error) {
    throw Error(error.kind(), std::string(error.what()) + "\n  (read because " + path + " in " +
                                  node.place.Text() + " names it)");
  }
}

class Checker {
 public:
  void Check(const FieldSchema& schema, ConfigNode& node, const std::string& path, int depth) {
    switch (schema.type) {
      case FieldSchema::Type::kStruct:
        return CheckStruct(schema, node, path, depth);
      case FieldSchema::Type::kList:
        return CheckList(schema, node, path, depth);
      case FieldSchema::Type::kMap:
        return CheckMap(schema, node, path, depth);
      default:
        return CheckScalar(schema, node, path);
    }
  }
  void ThrowIfAny() const {
    if (problems_.empty()) return;
    std::string message;
    for (size_t i = 0; i < std::min(problems_.size(), kMaxProblems); ++i) {
      message += (i == 0 ? "" : "\n") + problems_[i];
    }
    if (problems_.size() > kMaxProblems) {
      message += "\nand " + std::to_string(problems_.size() - kMaxProblems) + " more";
    }
    throw Error(ErrorKind::kUsage, message);
  }

 private:
  void Report(const ConfigPlace& place, const std::string& path, const std::string& message) {
    problems_.push_back(place.Text() + ": " + (path.empty() ? "" : path + ": ") + message);
  }
  void ReportFound(const FieldSchema& schema, const ConfigNode& node, const std::string& path,
                   const std::string& hint = "") {
    Report(node.place, path,
           "found " + DescribeNode(node) + ", expected " + schema.Allowed() + hint);
  }

  void CheckStruct(const FieldSchema& schema, ConfigNode& node, const std::string& path,
                   int depth) {
    if (node.is_scalar()) {
      if (depth >= kMaxFileDepth) {
        return Report(node.place, path,
                      "files within files more than 8 deep: does one name itself?");
      }
      ++depth;
      node = ReadSection(node, path);
    }
    if (node.is_null()) {
      if (schema.optional) return;
      node.kind = ConfigNode::Kind::kMap;
    }
    if (!node.is_map()) return ReportFound(schema, node, path);
    for (ConfigEntry& entry : node.entries) {
      const FieldSchema* field = schema.Find(entry.key);
      if (field == nullptr) {
        Report(entry.key_place, "", UnknownKey(entry.key, path, schema));
      } else {
        Check(*field, entry.value, JoinPath(path, entry.key), depth);
      }
    }
    for (const FieldSchema& field : schema.fields) {
      if (field.limits.required && node.Find(field.name) == nullptr) {
        Report(node.place, JoinPath(path, field.name),
               "this key is required and missing: " + field.help + " (" + field.Allowed() + ")");
      }
    }
  }

  void CheckList(const FieldSchema& schema, ConfigNode& node, const std::string& path, int depth) {
    if (node.is_null()) {
      if (schema.optional) return;
      node.kind = ConfigNode::Kind::kList;
    }
    if (node.is_scalar() && schema.element().is_scalar()) {
      ConfigNode list;
      list.kind = ConfigNode::Kind::kList;
      list.place = node.place;
      list.items.push_back(std::move(node));
      node = std::move(list);
    }
    if (!node.is_list()) return ReportFound(schema, node, path);
    for (size_t i = 0; i < node.items.size(); ++i) {
      Check(schema.element(), node.items[i], JoinPath(path, std::to_string(i)), depth);
    }
  }

  void CheckMap(const FieldSchema& schema, ConfigNode& node, const std::string& path, int depth) {
    if (node.is_null()) {
      if (schema.optional) return;
      node.kind = ConfigNode::Kind::kMap;
    }
    if (!node.is_map()) return ReportFound(schema, node, path);
    for (ConfigEntry& entry : node.entries) {
      Check(schema.element(), entry.value, JoinPath(path, entry.key), depth);
    }
  }

  void CheckScalar(const FieldSchema& schema, const ConfigNode& node, const std::string& path) {
    if (node.is_null() && schema.optional) return;
    if (node.is_null()) {
      const bool text = schema.type == FieldSchema::Type::kText;
      return ReportFound(
          schema, node, path,
          text ? "; write '' for the empty text" : "; leave the key out for its default");
    }
    if (!node.is_scalar()) return ReportFound(schema, node, path);
    if (schema.type == FieldSchema::Type::kText) return CheckText(schema, node, path);
    bool truth = false;
    int64_t integer = 0;
    double number = 0;
    bool parsed = false;
    if (schema.type == FieldSchema::Type::kBool) parsed = ParseBool(node.text, truth);
    if (schema.type == FieldSchema::Type::kInteger) {
      parsed = ParseInteger(node.text, integer);
      number = static_cast<double>(integer);
    }
    if (schema.type == FieldSchema::Type::kNumber) parsed = ParseNumber(node.text, number);
    if (parsed && node.quoted) return ReportFound(schema, node, path, "; leave the quotes out");
    if (!parsed || !std::isfinite(number)) return ReportFound(schema, node, path);
    const FieldLimits& limits = schema.limits;
    if (schema.type != FieldSchema::Type::kBool &&
        (number < limits.min || number > limits.max || (limits.open_min && number == limits.min))) {
      ReportFound(schema, node, path);
    }
  }

  void CheckText(const FieldSchema& schema, const ConfigNode& node, const std::string& path) {
    const auto& choices = schema.limits.choices;
    if (choices.empty() || std::find(choices.begin(), choices.end(), node.text) != choices.end())
      return;
    const std::vector<std::string> names(choices.begin(), choices.end());
    const std::string nearest = NearestName(node.text, names);
    ReportFound(schema, node, path, nearest.empty() ? "" : ". Did you mean '" + nearest + "'?");
  }

  std::vector<std::string> problems_;
};

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
    if (child == nullptr) Fail(UnknownKey(key, path, schema));
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
  Setter setter(option);
  setter.Apply(schema, &defaults, tree, 0, "");
}

void CheckTree(const FieldSchema& schema, ConfigNode& tree) {
  Checker checker;
  checker.Check(schema, tree, "", 0);
  checker.ThrowIfAny();
}

}  // namespace breakeven
