// Pure.
#include "launch/config_grid.h"

#include <string>
#include <utility>
#include <vector>

#include "comm/base/error.h"

namespace breakeven {
namespace {

constexpr size_t kMaxVariants = 1000;

[[noreturn]] void Fail(const ConfigNode& node, const std::string& message) {
  throw Error(ErrorKind::kUsage, node.place.Text() + ": grid: " + message);
}

// `variant` with what an option of `axis` sets.
ConfigNode With(const ConfigNode& variant, const std::string& axis, const ConfigEntry& option) {
  ConfigNode result = variant;
  ConfigNode& name = *result.Find("name");
  name.text += (name.text.empty() ? "" : "-") + option.key;
  if (!option.value.is_map() && !option.value.is_null()) {
    Fail(option.value, "option '" + option.key + "' of axis '" + axis + "' is " +
                           DescribeNode(option.value) + ", expected a map of a prompt's keys");
  }
  for (const ConfigEntry& entry : option.value.entries) {
    if (entry.key == "name")
      Fail(entry.value, "a variant of a grid is named by its options; leave name out");
    if (result.Find(entry.key) != nullptr) {
      Fail(entry.value,
           "axis '" + axis + "' sets '" + entry.key + "', which another axis sets too");
    }
    result.Add(entry.key, entry.value);
  }
  return result;
}

}  // namespace

void ExpandGrid(ConfigNode& prompts) {
  const ConfigNode grid = *prompts.Find("grid");
  std::erase_if(prompts.entries, [](const ConfigEntry& entry) { return entry.key == "grid"; });
  if (!grid.is_map() && !grid.is_null()) {
    Fail(grid, "found " + DescribeNode(grid) + ", expected axes, each a map of options");
  }
  if (grid.entries.empty()) return;
  ConfigNode start;
  start.kind = ConfigNode::Kind::kMap;
  start.place = grid.place;
  start.Add("name", ScalarNode("", true)).place = grid.place;
  std::vector<ConfigNode> variants = {start};
  for (const ConfigEntry& axis : grid.entries) {
    if (!axis.value.is_map() || axis.value.entries.empty()) {
      Fail(axis.value, "axis '" + axis.key + "' is " + DescribeNode(axis.value) +
                           ", expected a map from options to what they set");
    }
    std::vector<ConfigNode> next;
    for (const ConfigNode& variant : variants) {
      for (const ConfigEntry& option : axis.value.entries) {
        next.push_back(With(variant, axis.key, option));
      }
    }
    variants = std::move(next);
    if (variants.size() > kMaxVariants) {
      Fail(grid, std::to_string(variants.size()) + " combinations or more; at most " +
                     std::to_string(kMaxVariants) + " are taken");
    }
  }
  ConfigNode* list = prompts.Find("variants");
  if (list == nullptr || list->is_null()) {
    ConfigNode empty;
    empty.kind = ConfigNode::Kind::kList;
    empty.place = grid.place;
    if (list == nullptr) {
      list = &prompts.Add("variants", std::move(empty));
    } else {
      *list = std::move(empty);
    }
  }
  if (!list->is_list()) return;  // reported as what it is
  for (ConfigNode& variant : variants) list->items.push_back(std::move(variant));
}

}  // namespace breakeven
