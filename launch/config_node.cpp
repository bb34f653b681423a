// Pure.
#include "launch/config_node.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

namespace breakeven {

std::string ConfigPlace::Text() const {
  if (!is_file) return source;
  return source + ":" + std::to_string(line) + ":" + std::to_string(column);
}

std::string ConfigPlace::Folder() const {
  if (!is_file) return "";
  const size_t slash = source.rfind('/');
  return slash == std::string::npos ? "" : source.substr(0, slash + 1);
}

const ConfigNode* ConfigNode::Find(std::string_view key) const {
  for (const ConfigEntry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

ConfigNode* ConfigNode::Find(std::string_view key) {
  return const_cast<ConfigNode*>(std::as_const(*this).Find(key));
}

ConfigNode& ConfigNode::Add(std::string_view key, ConfigNode value) {
  ConfigPlace key_place = value.place;
  entries.push_back({std::string(key), std::move(key_place), std::move(value)});
  return entries.back().value;
}

ConfigNode ScalarNode(std::string text, bool quoted) {
  ConfigNode node;
  node.kind = ConfigNode::Kind::kScalar;
  node.text = std::move(text);
  node.quoted = quoted;
  return node;
}

bool ParseBool(std::string_view text, bool& value) {
  if (text == "true" || text == "True" || text == "TRUE") {
    value = true;
    return true;
  }
  value = false;
  return text == "false" || text == "False" || text == "FALSE";
}

bool ParseInteger(std::string_view text, int64_t& value) {
  std::string_view digits = text;
  const bool negative = !digits.empty() && digits[0] == '-';
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) digits.remove_prefix(1);
  if (digits.empty() || digits[0] == '-' || digits[0] == '+') return false;
  int base = 10;
  if (!negative && digits.substr(0, 2) == "0x") base = 16;
  if (!negative && digits.substr(0, 2) == "0o") base = 8;
  if (base != 10) digits.remove_prefix(2);
  const std::string number = (negative ? "-" : "") + std::string(digits);
  const char* end = number.data() + number.size();
  const auto [stop, error] = std::from_chars(number.data(), end, value, base);
  if (error == std::errc() && stop == end) return true;
  double wide = 0;
  // 1e6 is how people write a million tokens; beyond 2^53 a double could be another number than the
  // one written.
  if (base == 10 && ParseNumber(text, wide) && std::abs(wide) <= 9007199254740992.0 &&
      wide == std::trunc(wide)) {
    value = static_cast<int64_t>(wide);
    return true;
  }
  return false;
}

bool ParseNumber(std::string_view text, double& value) {
  std::string_view digits = text;
  const bool negative = !digits.empty() && digits[0] == '-';
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) digits.remove_prefix(1);
  if (digits.empty()) return false;
  if (digits == ".inf" || digits == ".Inf" || digits == ".INF") {
    value = (negative ? -1 : 1) * std::numeric_limits<double>::infinity();
    return true;
  }
  if (digits == ".nan" || digits == ".NaN" || digits == ".NAN") {
    value = std::numeric_limits<double>::quiet_NaN();
    return true;
  }
  if ((digits[0] < '0' || digits[0] > '9') && digits[0] != '.')
    return false;  // from_chars takes "inf", "nan"
  int64_t integer = 0;
  if (digits.substr(0, 2) == "0x" || digits.substr(0, 2) == "0o") {
    if (!ParseInteger(text, integer)) return false;
    value = static_cast<double>(integer);
    return true;
  }
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (negative) value = -value;
  return error == std::errc() && stop == digits.data() + digits.size();
}

std::string FormatNumber(double value) {
  if (std::isnan(value)) return ".nan";
  if (std::isinf(value)) return value < 0 ? "-.inf" : ".inf";
  char buffer[40];
  const auto result = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return std::string(buffer, result.ptr);
}

std::string DescribeNode(const ConfigNode& node) {
  bool truth = false;
  double number = 0;
  switch (node.kind) {
    case ConfigNode::Kind::kNull:
      return "nothing (null)";
    case ConfigNode::Kind::kScalar:
      if (!node.quoted && ParseBool(node.text, truth)) return node.text;
      if (!node.quoted && ParseNumber(node.text, number)) return "the number " + node.text;
      return "the text '" + (node.text.size() > 60 ? node.text.substr(0, 57) + "…" : node.text) +
             "'";
    case ConfigNode::Kind::kList:
      return "a list of " + std::to_string(node.items.size());
    case ConfigNode::Kind::kMap:
      break;
  }
  std::string keys;
  for (size_t i = 0; i < node.entries.size() && i < 4; ++i)
    keys += (i == 0 ? "" : ", ") + node.entries[i].key;
  if (node.entries.size() > 4) keys += ", …";
  return node.entries.empty() ? "an empty map" : "a map with the keys " + keys;
}

std::string JoinPath(std::string_view path, std::string_view key) {
  std::string joined(path);
  if (!joined.empty()) joined += '.';
  for (const char c : key) {
    if (c == '.' || c == '\\') joined += '\\';
    joined += c;
  }
  return joined;
}

std::vector<std::string> SplitPath(std::string_view path) {
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '\\' && i + 1 < path.size()) {
      parts.back() += path[++i];
    } else if (path[i] == '.') {
      parts.emplace_back();
    } else {
      parts.back() += path[i];
    }
  }
  return parts;
}

}  // namespace breakeven
