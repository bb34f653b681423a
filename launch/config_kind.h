// Pure. What a config file is for: nothing in it says so but its keys, and cluster.command.
#ifndef BREAKEVEN_LAUNCH_CONFIG_KIND_H_
#define BREAKEVEN_LAUNCH_CONFIG_KIND_H_

#include <concepts>
#include <string>
#include <vector>

#include "launch/config_node.h"
#include "launch/config_schema.h"

namespace breakeven {

// Something that a file can be for.
struct FileKind {
  std::string what;     // "a config of breakeven train"
  std::string command;  // cluster.command's word for it; "" = it has none
  FieldSchema schema;
};

// The one of `kinds` (not empty) that the file `path`, read as `tree`, is for: what cluster.command
// says, in the last setting of `set` that has it or else in the file; else the one that knows most
// of the file's keys. Error(kUsage), naming them, where several know as many. What is no map is any
// of them: its reader says what is wrong.
const FileKind& ChooseKind(const std::vector<const FileKind*>& kinds, const std::string& path,
                           const ConfigNode& tree, const std::vector<std::string>& set);

// The same, where kinds carry what is done with the file.
template <std::derived_from<FileKind> Kind>
const Kind& ChooseKind(const std::vector<Kind>& kinds, const std::string& path,
                       const ConfigNode& tree, const std::vector<std::string>& set) {
  std::vector<const FileKind*> bases;
  for (const Kind& kind : kinds) bases.push_back(&kind);
  return static_cast<const Kind&>(ChooseKind(bases, path, tree, set));
}

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_CONFIG_KIND_H_
