// Pure.
#include "launch/config_print.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "comm/base/hash.h"

namespace breakeven {
namespace {

bool IsPlainText(const std::string& text) {
  static constexpr std::string_view kReserved[] = {"null", "true", "false", "yes", "no",
                                                   "on",   "off",  "y",     "n"};
  if (text.empty() || text.size() > 200) return false;
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (!is_letter(text[0]) && text[0] != '/' && text[0] != '_') return false;
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9';
    if (!is_letter(c) && !digit && std::string_view("_-./+@").find(c) == std::string_view::npos)
      return false;
  }
  std::string lower = text;
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return std::find(std::begin(kReserved), std::end(kReserved), lower) == std::end(kReserved);
}

// Double quotes with YAML's escapes: the one style in which every text reads back byte for byte.
std::string QuoteText(const std::string& text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string quoted = "\"";
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // C1 controls, line separators and the byte-order mark are breaks or nothing to some readers.
    const std::string_view rest = std::string_view(text).substr(i);
    if (byte == '"' || byte == '\\') {
      quoted += '\\';
      quoted += text[i];
    } else if (byte == '\n') {
      quoted += "\\n";
    } else if (byte == '\t') {
      quoted += "\\t";
    } else if (byte == '\r') {
      quoted += "\\r";
    } else if (byte < 0x20 || byte == 0x7F) {
      quoted += "\\x";
      quoted += kHex[byte >> 4];
      quoted += kHex[byte & 15];
    } else if (byte == 0xC2 && rest.size() > 1 && static_cast<unsigned char>(rest[1]) < 0xA0) {
      const auto code = static_cast<unsigned char>(rest[1]);
      quoted += "\\x";
      quoted += kHex[code >> 4];
      quoted += kHex[code & 15];
      ++i;
    } else if (rest.substr(0, 3) == "\xE2\x80\xA8" || rest.substr(0, 3) == "\xE2\x80\xA9") {
      quoted += rest[2] == '\xA8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else if (rest.substr(0, 3) == "\xEF\xBB\xBF") {
      quoted += "\\uFEFF";
      i += 2;
    } else {
      quoted += text[i];
    }
  }
  return quoted + "\"";
}

std::string TextToken(const std::string& text) {
  return IsPlainText(text) ? text : QuoteText(text);
}

std::string ScalarToken(const ConfigNode& node) {
  if (node.is_null()) return "null";
  return node.quoted ? TextToken(node.text) : node.text;
}

bool IsInline(const ConfigNode& node) {
  if (node.is_list()) {
    return std::all_of(node.items.begin(), node.items.end(),
                       [](const ConfigNode& item) { return item.is_scalar(); });
  }
  return !node.is_map() || node.entries.empty();
}

std::string InlineToken(const ConfigNode& node) {
  if (node.is_map()) return "{}";
  if (!node.is_list()) return ScalarToken(node);
  std::string text = "[";
  for (size_t i = 0; i < node.items.size(); ++i)
    text += (i == 0 ? "" : ", ") + ScalarToken(node.items[i]);
  return text + "]";
}

std::string OneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

class YamlWriter {
 public:
  explicit YamlWriter(bool with_help) : with_help_(with_help) {}

  void Map(const ConfigNode& node, const FieldSchema& schema, const std::string& indent) {
    for (const ConfigEntry& entry : node.entries) {
      const FieldSchema* field =
          schema.type == FieldSchema::Type::kMap ? &schema.element() : schema.Find(entry.key);
      if (with_help_ && field != nullptr && schema.type == FieldSchema::Type::kStruct) {
        text_ += indent + "# " + OneLine(field->help) + " (" + field->Allowed() +
                 (field->limits.required ? "; required" : "") + ")\n";
      }
      text_ += indent + TextToken(entry.key) + ":";
      Value(entry.value, field == nullptr ? schema : *field, indent + "  ");
    }
  }
  std::string Take() { return std::move(text_); }

 private:
  void Value(const ConfigNode& node, const FieldSchema& schema, const std::string& indent) {
    if (IsInline(node)) {
      text_ += " " + InlineToken(node) + "\n";
    } else if (node.is_map()) {
      text_ += "\n";
      Map(node, schema, indent);
    } else {
      text_ += "\n";
      for (const ConfigNode& item : node.items) {
        text_ += indent + "-";
        if (!item.is_map() || item.entries.empty()) {
          Value(item, schema.element(), indent + "  ");
          continue;
        }
        YamlWriter inner(with_help_);
        inner.Map(item, schema.element(), indent + "  ");
        text_ +=
            " " + inner.Take().substr(indent.size() + 2);  // the first key stands behind the dash
      }
    }
  }

  bool with_help_;
  std::string text_;
};

nlohmann::ordered_json ToJsonValue(const ConfigNode& node) {
  if (node.is_list()) {
    auto list = nlohmann::ordered_json::array();
    for (const ConfigNode& item : node.items) list.push_back(ToJsonValue(item));
    return list;
  }
  if (node.is_map()) {
    auto map = nlohmann::ordered_json::object();
    for (const ConfigEntry& entry : node.entries) map[entry.key] = ToJsonValue(entry.value);
    return map;
  }
  if (node.is_null()) return nullptr;
  if (node.quoted) return node.text;
  bool truth = false;
  if (ParseBool(node.text, truth)) return truth;
  int64_t integer = 0;
  if (node.text.find_first_of(".eEn") == std::string::npos && ParseInteger(node.text, integer))
    return integer;
  double number = 0;
  ParseNumber(node.text, number);
  return number;
}

std::string Escaped(const std::string& text) {
  std::string escaped;
  for (const char c : OneLine(text)) {
    if (c == '|') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

void TableRows(const FieldSchema& schema, const ConfigNode* defaults, const std::string& path,
               std::string& rows) {
  for (const FieldSchema& field : schema.fields) {
    const ConfigNode* value =
        defaults != nullptr && defaults->is_map() ? defaults->Find(field.name) : nullptr;
    if (value == nullptr && field.is_scalar()) value = &field.initial;  // inside lists and maps
    const std::string name = path + field.name;
    const bool section = !field.is_scalar() &&
                         (field.type == FieldSchema::Type::kStruct || !field.element().is_scalar());
    std::string shown;
    if (value != nullptr && IsInline(*value)) shown = "`" + InlineToken(*value) + "`";
    if (field.limits.required) shown = "required";
    if (section && field.type == FieldSchema::Type::kStruct && !field.optional) shown = "";
    rows += "| `" + name + "` | " + Escaped(field.Allowed()) + " | " + Escaped(shown) + " | " +
            Escaped(field.help) + " |\n";
    if (field.type == FieldSchema::Type::kStruct) TableRows(field, value, name + ".", rows);
    if (field.type == FieldSchema::Type::kList && section)
      TableRows(field.element(), nullptr, name + ".0.", rows);
    if (field.type == FieldSchema::Type::kMap && section)
      TableRows(field.element(), nullptr, name + ".NAME.", rows);
  }
}

void HashInto(const ConfigNode& node, const FieldSchema& schema, Hasher& hasher) {
  hasher.UpdateField(std::to_string(static_cast<int>(node.kind)));
  hasher.UpdateField(node.text);
  hasher.UpdateField(std::to_string(node.items.size()));
  for (const ConfigNode& item : node.items) HashInto(item, schema.element(), hasher);
  for (const ConfigEntry& entry : node.entries) {
    const FieldSchema* field =
        schema.type == FieldSchema::Type::kMap ? &schema.element() : schema.Find(entry.key);
    if (field == nullptr || !field->hashed) continue;
    hasher.UpdateField(entry.key);
    HashInto(entry.value, *field, hasher);
  }
}

}  // namespace

std::string FormatYaml(const ConfigNode& tree, const FieldSchema& schema, bool with_help) {
  YamlWriter writer(with_help);
  writer.Map(tree, schema, "");
  return writer.Take();
}

std::string FormatJson(const ConfigNode& tree) { return ToJsonValue(tree).dump(2) + "\n"; }

std::string FormatOptionTable(const FieldSchema& schema, const ConfigNode& defaults) {
  std::string rows = "| key | allowed | default | meaning |\n|---|---|---|---|\n";
  TableRows(schema, &defaults, "", rows);
  return rows;
}

std::string HashTree(const ConfigNode& tree, const FieldSchema& schema) {
  Hasher hasher;
  HashInto(tree, schema, hasher);
  return hasher.Hex();
}

}  // namespace breakeven
