// YAML text → ConfigNode tree. The only reader of YAML in the program.
#ifndef BREAKEVEN_LAUNCH_YAML_DOCUMENT_H_
#define BREAKEVEN_LAUNCH_YAML_DOCUMENT_H_

#include <string>
#include <string_view>

#include "launch/config_node.h"

namespace breakeven {

// One document. Error(kUsage) with file, line and column: bad syntax, duplicate keys, anchors and
// aliases (a few lines of them can stand for gigabytes), tags, more than one document, keys that
// are no scalars, nesting deeper than 64, more than 1 MB, invalid UTF-8. An empty file is an empty
// map.
ConfigNode ParseYamlFile(const std::string& path);
// The same for a file that another program made (PyYAML's rules where they differ): tags are kept in the nodes, of a key
// that stands twice the last counts.
ConfigNode ParseForeignYamlFile(const std::string& path);
// The same for a text; `place.source` is how messages call it.
ConfigNode ParseYamlText(std::string_view text, const ConfigPlace& place);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_YAML_DOCUMENT_H_
