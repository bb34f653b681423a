// Pure. A grid of prompts → variants.
#ifndef BREAKEVEN_LAUNCH_CONFIG_GRID_H_
#define BREAKEVEN_LAUNCH_CONFIG_GRID_H_

#include "launch/config_node.h"

namespace breakeven {

// `prompts` is a section with the key `grid`: axes, each a map from an option's name to the keys of a prompt that it sets.
// Every combination of one option of each axis is appended to `variants`, in the order of the file, the last axis fastest;
// its name is that of its options, joined by "-". `grid` is taken out. Error(kUsage) with file and line: an axis without
// options, a key that two axes set, more than 1000 combinations.
void ExpandGrid(ConfigNode& prompts);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_CONFIG_GRID_H_
