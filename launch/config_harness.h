// A task file of lm-evaluation-harness → a task section of ours.
#ifndef BREAKEVEN_LAUNCH_CONFIG_HARNESS_H_
#define BREAKEVEN_LAUNCH_CONFIG_HARNESS_H_

#include "launch/config_node.h"

namespace breakeven {

// `task` is a section with the key `harness`. Its file is read (relative to the file that the key stands in; `include:` is
// followed) and its keys become ours; keys that `task` has itself win; `harness` is taken out. Keys that say nothing here
// (where the Hugging Face data lie, tags, versions) are named in the log, once for each file. Error(kUsage) with file, line
// and key for what cannot be done here: Python functions, groups of tasks, sampling, metrics and filters we have not.
// Pure but for the files and the log.
void ExpandHarness(ConfigNode& task);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_CONFIG_HARNESS_H_
