// --set path.to.key=value.
#ifndef BREAKEVEN_LAUNCH_CONFIG_SET_H_
#define BREAKEVEN_LAUNCH_CONFIG_SET_H_

#include <string>

#include "launch/config_node.h"
#include "launch/config_schema.h"

namespace breakeven {

// Applies one --set option, "path.to.key=value", to the tree. `value` is YAML; where the key is a
// text, what is no YAML scalar is taken as it is written. List indices count from 0, one past the
// end appends. What the tree does not have yet comes from `defaults` (the struct's own values), so
// that an element of a default list can be changed. Error(kUsage) naming the option: unknown key
// (with the nearest), index out of range, bad YAML.
void ApplySet(const std::string& option, const FieldSchema& schema, const ConfigNode& defaults,
              ConfigNode& tree);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_CONFIG_SET_H_
