// Pure.
#include "launch/config_kind.h"

#include <cstdint>
#include <string_view>

#include "comm/base/error.h"
#include "launch/config_check.h"

namespace breakeven {
namespace {

// cluster.command where the file or the command line says it; "" elsewhere.
std::string SaidCommand(const ConfigNode& tree, const std::vector<std::string>& set) {
  constexpr std::string_view kKey = "cluster.command=";
  for (auto setting = set.rbegin(); setting != set.rend(); ++setting) {
    if (setting->starts_with(kKey)) return setting->substr(kKey.size());
  }
  const ConfigNode* cluster = tree.Find("cluster");
  const ConfigNode* command = cluster == nullptr ? nullptr : cluster->Find("command");
  return command == nullptr ? "" : command->text;
}

// "a, b and c"
std::string Join(const std::vector<std::string>& words, const std::string& last) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 < words.size() ? ", " : last;
    text += words[i];
  }
  return text;
}

[[noreturn]] void RefuseTie(const std::string& path, const std::vector<const FileKind*>& best,
                            int64_t num_known) {
  std::vector<std::string> names;
  std::vector<std::string> commands;
  for (const FileKind* kind : best) {
    names.push_back(kind->what);
    if (!kind->command.empty()) commands.push_back(kind->command);
  }
  std::string text = path + ": ";
  text += num_known > 0 ? "its keys fit " + Join(names, " and ") + " alike"
                        : "it has no key of " + Join(names, " or ");
  text += ". Give keys that only one of them has";
  if (!commands.empty()) text += ", or cluster.command: " + Join(commands, " or ");
  throw Error(ErrorKind::kUsage, text);
}

}  // namespace

const FileKind& ChooseKind(const std::vector<const FileKind*>& kinds, const std::string& path,
                           const ConfigNode& tree, const std::vector<std::string>& set) {
  const std::string said = SaidCommand(tree, set);
  for (const FileKind* kind : kinds) {
    if (!said.empty() && kind->command == said) return *kind;
  }
  // A word that is none is refused by the reader, with what is allowed.
  if (!tree.is_map()) return *kinds.front();
  std::vector<const FileKind*> best;
  int64_t most = 0;
  for (const FileKind* kind : kinds) {
    const int64_t known = NumKnownKeys(tree, kind->schema);
    if (known > most) {
      best.clear();
      most = known;
    }
    if (known == most) best.push_back(kind);
  }
  if (best.size() > 1) RefuseTie(path, best, most);
  return *best.front();
}

}  // namespace breakeven
