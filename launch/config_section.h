// What checking and --set share: sections that are files of their own, and keys that are not known.
#ifndef BREAKEVEN_LAUNCH_CONFIG_SECTION_H_
#define BREAKEVEN_LAUNCH_CONFIG_SECTION_H_

#include <string>

#include "launch/config_node.h"
#include "launch/config_schema.h"

namespace breakeven {

// Reads the file that the scalar `node` names in place of the section `path`; relative to the file
// that the scalar stands in. Error(kUsage) naming both places.
ConfigNode ReadSection(const ConfigNode& node, const std::string& path);

// "unknown key 'x' in optimizer. Did you mean …? Known here: …"
std::string UnknownKeyMessage(const std::string& key, const std::string& where,
                              const FieldSchema& schema);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_CONFIG_SECTION_H_
