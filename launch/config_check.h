// Brings a config tree into the shape that a struct wants: reads the files that stand for sections,
// applies --set, and finds everything that is wrong, with its place.
#ifndef BREAKEVEN_LAUNCH_CONFIG_CHECK_H_
#define BREAKEVEN_LAUNCH_CONFIG_CHECK_H_

#include "launch/config_node.h"
#include "launch/config_schema.h"

namespace breakeven {

// Replaces sections given as paths by what the files hold (paths relative to the file that says so,
// files within files up to 8 deep), scalars where a list of scalars is wanted by a list of one, and
// checks keys, types and limits. Error(kUsage) that lists every problem found (20 at most), one a
// line: place, key path, found, allowed, nearest name.
void CheckTree(const FieldSchema& schema, ConfigNode& tree);

// How many keys of a map a struct knows: tells which struct a file is for.
int64_t NumKnownKeys(const ConfigNode& tree, const FieldSchema& schema);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_CONFIG_CHECK_H_
