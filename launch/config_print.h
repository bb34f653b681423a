// Pure. A config as text: YAML that reads back to the same config, JSON, the Markdown option table,
// and its fingerprint.
#ifndef BREAKEVEN_LAUNCH_CONFIG_PRINT_H_
#define BREAKEVEN_LAUNCH_CONFIG_PRINT_H_

#include <string>

#include "launch/config_node.h"
#include "launch/config_schema.h"

namespace breakeven {

// `with_help`: each key is preceded by a comment with its help and what is allowed.
std::string FormatYaml(const ConfigNode& tree, const FieldSchema& schema, bool with_help);
std::string FormatJson(const ConfigNode& tree);

// One row a key: path, allowed, default, help. `defaults` is the tree of a fresh struct.
std::string FormatOptionTable(const FieldSchema& schema, const ConfigNode& defaults);

// XXH3 over every field that is marked as hashed, as 16 hexadecimal digits: equal for two configs
// that ask for the same result, whatever their paths, names and thread counts.
std::string HashTree(const ConfigNode& tree, const FieldSchema& schema);

template <FieldStruct T>
FieldSchema SchemaOf() {
  return BuildSchema([](FieldVisitor& visitor) {
    T config;
    config.VisitFields(visitor);
  });
}

template <FieldStruct T>
ConfigNode TreeOf(const T& config) {
  T copy = config;  // VisitFields is one function for readers and writers, so it is not const
  return BuildTree([&](FieldVisitor& visitor) { copy.VisitFields(visitor); });
}

template <FieldStruct T>
std::string PrintConfig(const T& config, bool with_help = false) {
  return FormatYaml(TreeOf(config), SchemaOf<T>(), with_help);
}

template <FieldStruct T>
std::string ConfigHash(const T& config) {
  return HashTree(TreeOf(config), SchemaOf<T>());
}

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_CONFIG_PRINT_H_
