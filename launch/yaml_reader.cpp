#include "launch/yaml_reader.h"

#include <utility>

namespace breakeven {

ConfigNode ReadConfigTree(const std::string& path, const std::vector<std::string>& set,
                          const FieldSchema& schema, const ConfigNode& defaults) {
  ConfigNode tree;
  tree.kind = ConfigNode::Kind::kMap;
  tree.place.source = "command line";
  if (!path.empty()) tree = ParseYamlFile(path);
  if (!tree.is_map() && !tree.is_null()) {
    throw Error(ErrorKind::kUsage, tree.place.Text() + ": found " + DescribeNode(tree) +
                                       ", expected a map of config keys");
  }
  for (const std::string& option : set) ApplySet(option, schema, defaults, tree);
  CheckTree(schema, tree);
  return tree;
}

}  // namespace breakeven
