// Pure. The shape of a config struct, collected once from its VisitFields: what the checker, the
// printer, the option table and the hash walk along.
#ifndef BREAKEVEN_LAUNCH_CONFIG_SCHEMA_H_
#define BREAKEVEN_LAUNCH_CONFIG_SCHEMA_H_

#include <functional>
#include <string>
#include <vector>

#include "comm/base/fields.h"
#include "launch/config_node.h"

namespace breakeven {

struct FieldSchema {
  enum class Type { kBool, kInteger, kNumber, kText, kStruct, kList, kMap };

  Type type = Type::kStruct;
  std::string name;
  std::string help;
  FieldLimits limits;
  bool optional = false;  // null means absent
  bool hashed = true;
  ConfigNode initial;               // of a scalar: the value that a fresh struct has
  std::vector<FieldSchema> fields;  // of a struct; of a list or map: one, its element

  bool is_scalar() const {
    return type != Type::kStruct && type != Type::kList && type != Type::kMap;
  }
  const FieldSchema& element() const { return fields.front(); }
  const FieldSchema* Find(std::string_view key) const;
  std::vector<std::string> FieldNames() const;
  // "an integer, at least 1", "one of linear, cosine", "a list of texts": what messages call
  // allowed.
  std::string Allowed() const;
};

// Visits a struct of the type that is described; called once, on a fresh instance.
using VisitNew = std::function<void(FieldVisitor&)>;

FieldSchema BuildSchema(const VisitNew& visit);

// The values of a struct as a tree, every field present.
ConfigNode BuildTree(const VisitNew& visit);

// Assigns what the tree has to the struct that `visit` visits; the tree has been checked
// (config_check.h).
void FillFields(const ConfigNode& tree, const VisitNew& visit);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_CONFIG_SCHEMA_H_
