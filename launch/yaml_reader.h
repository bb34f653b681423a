// Config files → config structs: defaults < file < --set, checked key by key.
#ifndef BREAKEVEN_LAUNCH_YAML_READER_H_
#define BREAKEVEN_LAUNCH_YAML_READER_H_

#include <string>
#include <vector>

#include "comm/base/error.h"
#include "launch/config_check.h"
#include "launch/config_print.h"
#include "launch/config_set.h"
#include "launch/yaml_document.h"

namespace breakeven {

// `path` may be "": then --set alone speaks. Every error is Error(kUsage) and names its place.
ConfigNode ReadConfigTree(const std::string& path, const std::vector<std::string>& set,
                          const FieldSchema& schema, const ConfigNode& defaults);

// The same, into a struct; then T::Validate() where T has one.
template <FieldStruct T>
T ReadConfig(const std::string& path, const std::vector<std::string>& set) {
  T config;
  const ConfigNode tree = ReadConfigTree(path, set, SchemaOf<T>(), TreeOf(T{}));
  FillFields(tree, [&](FieldVisitor& visitor) { config.VisitFields(visitor); });
  if constexpr (requires { config.Validate(); }) {
    try {
      config.Validate();
    } catch (const Error& error) {
      throw Error(error.kind(), (path.empty() ? "command line" : path) + ": " + error.what());
    }
  }
  return config;
}

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_YAML_READER_H_
