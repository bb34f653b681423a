// Pure. A config as a tree of scalars, lists and maps that remember where they stand: what YAML
// files and --set are read into, and what --print-config prints.
#ifndef BREAKEVEN_LAUNCH_CONFIG_NODE_H_
#define BREAKEVEN_LAUNCH_CONFIG_NODE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace breakeven {

// Where a value was written: a file with line and column (1-based), or the command line.
struct ConfigPlace {
  std::string source;  // path of the file, or the --set option as it was given
  bool is_file = false;
  int line = 0;
  int column = 0;

  std::string Text() const;    // "run.yaml:3:7", "--set a.b=1"
  std::string Folder() const;  // of the file, for paths relative to it; "" = the working directory
};

struct ConfigEntry;

struct ConfigNode {
  enum class Kind { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  std::string text;     // scalar
  bool quoted = false;  // scalar in quotes: text, never a number
  std::string tag;      // "!function"; files of other programs only
  std::vector<ConfigNode> items;
  std::vector<ConfigEntry> entries;  // in the order they were written
  ConfigPlace place;

  bool is_null() const { return kind == Kind::kNull; }
  bool is_scalar() const { return kind == Kind::kScalar; }
  bool is_list() const { return kind == Kind::kList; }
  bool is_map() const { return kind == Kind::kMap; }
  ConfigNode* Find(std::string_view key);
  const ConfigNode* Find(std::string_view key) const;
  // Adds a key that is not there yet.
  ConfigNode& Add(std::string_view key, ConfigNode value);
};

struct ConfigEntry {
  std::string key;
  ConfigPlace key_place;
  ConfigNode value;
};

ConfigNode ScalarNode(std::string text, bool quoted);

// The text of a scalar as a number, in the notations of YAML 1.2's core schema (decimal, 0x, 0o,
// .inf, .nan); an integer may also be written as 1e6 or 4096.0. false: it is none, or does not fit.
bool ParseInteger(std::string_view text, int64_t& value);
bool ParseNumber(std::string_view text, double& value);
bool ParseBool(std::string_view text, bool& value);  // true, True, TRUE and false alike
std::string FormatNumber(double value);  // shortest text that reads back as the same value

// What a user would call this node: "the text 'fast'", "the number 3", "a list of 4", "a map with
// the keys a, b".
std::string DescribeNode(const ConfigNode& node);

// `key` behind `path`, joined as --set wants it: "optimizer.beta1"; dots inside a key are escaped.
std::string JoinPath(std::string_view path, std::string_view key);
// The reverse.
std::vector<std::string> SplitPath(std::string_view path);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_CONFIG_NODE_H_
