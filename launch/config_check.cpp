#include "launch/config_check.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include "comm/base/error.h"
#include "comm/base/suggest.h"
#include "launch/config_grid.h"
#include "launch/config_harness.h"
#include "launch/config_section.h"

namespace breakeven {
namespace {

constexpr int kMaxFileDepth = 8;
constexpr size_t kMaxProblems = 20;

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
    Expand(schema, node);
    for (ConfigEntry& entry : node.entries) {
      const FieldSchema* field = schema.Find(entry.key);
      if (field == nullptr) {
        Report(entry.key_place, "", UnknownKeyMessage(entry.key, path, schema));
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

  // Keys that stand for others: they are replaced before anything is checked.
  static void Expand(const FieldSchema& schema, ConfigNode& node) {
    const auto has = [&](const char* key) {
      return schema.Find(key) != nullptr && node.Find(key) != nullptr;
    };
    if (has("harness")) ExpandHarness(node);
    if (has("grid")) ExpandGrid(node);
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
    const FieldLimits& limits = schema.limits;
    const std::string hint = limits.remedy.empty() ? "" : "; " + std::string(limits.remedy);
    if (!parsed || !std::isfinite(number)) return ReportFound(schema, node, path, hint);
    if (schema.type != FieldSchema::Type::kBool &&
        (number < limits.min || number > limits.max || (limits.open_min && number == limits.min))) {
      ReportFound(schema, node, path, hint);
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

}  // namespace

int64_t NumKnownKeys(const ConfigNode& tree, const FieldSchema& schema) {
  return std::count_if(tree.entries.begin(), tree.entries.end(),
                       [&](const ConfigEntry& entry) { return schema.Find(entry.key) != nullptr; });
}

void CheckTree(const FieldSchema& schema, ConfigNode& tree) {
  Checker checker;
  checker.Check(schema, tree, "", 0);
  checker.ThrowIfAny();
}

}  // namespace breakeven
