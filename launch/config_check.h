// Brings a config tree into the shape that a struct wants: reads the files that stand for sections,
// applies --set, and finds everything that is wrong, with its place.
#ifndef BREAKEVEN_LAUNCH_CONFIG_CHECK_H_
#define BREAKEVEN_LAUNCH_CONFIG_CHECK_H_

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

// Replaces sections given as paths by what the files hold (paths relative to the file that says so,
// files within files up to 8 deep), scalars where a list of scalars is wanted by a list of one, and
// checks keys, types and limits. Error(kUsage) that lists every problem found (20 at most), one a
// line: place, key path, found, allowed, nearest name.
void CheckTree(const FieldSchema& schema, ConfigNode& tree);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_CONFIG_CHECK_H_
