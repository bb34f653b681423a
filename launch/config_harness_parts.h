// Pure. The parts of a task file of lm-evaluation-harness that are lists or maps. Each function appends our keys to `task`;
// Error(kUsage) with file, line and key for what cannot be done here.
#ifndef BREAKEVEN_LAUNCH_CONFIG_HARNESS_PARTS_H_
#define BREAKEVEN_LAUNCH_CONFIG_HARNESS_PARTS_H_

#include <string>

#include "launch/config_node.h"

namespace breakeven {

[[noreturn]] void RefuseHarness(const ConfigNode& node, const std::string& key,
                                const std::string& why);
// A scalar as text, whatever YAML takes it for.
ConfigNode HarnessText(const ConfigNode& node, const std::string& key);
bool HasBraces(const std::string& text);  // would a template engine change it?

void ConvertChoices(const ConfigNode& node, ConfigNode& task);
void ConvertTarget(const ConfigNode& node, ConfigNode& task);
void ConvertGeneration(const ConfigNode& node, ConfigNode& task);
// `node` may be null: the output type's usual metrics.
void ConvertMetrics(const ConfigNode& node, const std::string& output_type, ConfigNode& task);
void ConvertFilters(const ConfigNode& node, const std::string& output_type, ConfigNode& task);
void ConvertSamples(const ConfigNode& node, ConfigNode& task);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_CONFIG_HARNESS_PARTS_H_
