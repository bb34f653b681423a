#include "launch/config_section.h"

#include "comm/base/error.h"
#include "comm/base/suggest.h"
#include "launch/yaml_document.h"

namespace breakeven {
namespace {

bool IsConfigPath(std::string_view text) {
  return text.ends_with(".yaml") || text.ends_with(".yml") || text.ends_with(".json");
}

}  // namespace

std::string UnknownKeyMessage(const std::string& key, const std::string& where,
                              const FieldSchema& schema) {
  const std::vector<std::string> names = schema.FieldNames();
  const std::string nearest = NearestName(key, names);
  std::string message = "unknown key '" + key + "'" + (where.empty() ? "" : " in " + where) + ".";
  if (!nearest.empty()) message += " Did you mean '" + nearest + "'?";
  message += " Known here:";
  for (size_t i = 0; i < names.size(); ++i) message += (i == 0 ? " " : ", ") + names[i];
  return message;
}

ConfigNode ReadSection(const ConfigNode& node, const std::string& path) {
  if (!IsConfigPath(node.text)) {
    throw Error(ErrorKind::kUsage,
                node.place.Text() + ": " + path + ": found " + DescribeNode(node) +
                    ", expected a section (a map) or the path of a .yaml file that holds it");
  }
  const std::string file = node.text[0] == '/' ? node.text : node.place.Folder() + node.text;
  try {
    return ParseYamlFile(file);
  } catch (const Error& error) {
    throw Error(error.kind(), std::string(error.what()) + "\n  (read because " + path + " in " +
                                  node.place.Text() + " names it)");
  }
}

}  // namespace breakeven
