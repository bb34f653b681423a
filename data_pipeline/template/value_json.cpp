// Pure. Value from and to JSON text.
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>

#include "comm/base/error.h"
#include "data_pipeline/template/unicode.h"
#include "data_pipeline/template/value.h"

namespace breakeven {
namespace {

constexpr size_t kMaxDepth = 200;

using Items = std::vector<std::pair<std::string, Value>>;

// Of equal keys the last value, in the place of the first.
Dict WithoutDuplicates(Items items) {
  bool duplicates = false;
  if (items.size() <= 16) {
    for (size_t i = 1; i < items.size() && !duplicates; ++i) {
      for (size_t j = 0; j < i; ++j) duplicates = duplicates || items[i].first == items[j].first;
    }
    if (!duplicates) return Dict::FromItems(std::move(items));
  }
  std::unordered_map<std::string, size_t> places;
  Items kept;
  for (auto& [key, value] : items) {
    const auto [place, is_new] = places.emplace(key, kept.size());
    if (is_new) {
      kept.emplace_back(std::move(key), std::move(value));
    } else {
      kept[place->second].second = std::move(value);
    }
  }
  return Dict::FromItems(std::move(kept));
}

// Receives nlohmann's parse events and builds the value without an intermediate tree.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return Add(Value()); }
  bool boolean(bool value) override { return Add(Value(value)); }
  bool number_integer(number_integer_t value) override { return Add(Value(int64_t{value})); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return Add(Value(static_cast<int64_t>(value)));
    }
    return Add(Value(static_cast<double>(value)));
  }
  bool number_float(number_float_t value, const string_t&) override { return Add(Value(value)); }
  bool string(string_t& value) override { return Add(Value(std::move(value))); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return Open(true); }
  bool start_array(std::size_t) override { return Open(false); }
  bool key(string_t& value) override {
    open_.back().items.emplace_back(std::move(value), Value());
    return true;
  }
  bool end_object() override {
    Dict dict = WithoutDuplicates(std::move(open_.back().items));
    open_.pop_back();
    return Add(Value(std::move(dict)));
  }
  bool end_array() override {
    List list = std::move(open_.back().list);
    open_.pop_back();
    return Add(Value(std::move(list)));
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    // nlohmann counts from 1 and names the byte behind the trouble; its prefix says the same place
    // again.
    offset_ = position > 0 ? position - 1 : 0;
    error_ = error.what();
    const size_t place = error_.find(": ", error_.find("parse error"));
    if (place != std::string::npos) error_ = error_.substr(place + 2);
    return false;
  }

  const std::string& error() const { return error_; }
  size_t offset() const { return offset_; }
  Value Take() { return std::move(root_); }

 private:
  struct Level {
    bool is_object = false;
    Items items;
    List list;
  };

  bool Open(bool is_object) {
    if (open_.size() >= kMaxDepth) {
      error_ = "nested deeper than " + std::to_string(kMaxDepth) + " levels";
      return false;
    }
    open_.emplace_back();
    open_.back().is_object = is_object;
    return true;
  }

  bool Add(Value value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().is_object) {
      open_.back().items.back().second = std::move(value);
    } else {
      open_.back().list.push_back(std::move(value));
    }
    return true;
  }

  std::vector<Level> open_;
  Value root_;
  std::string error_;
  size_t offset_ = 0;
};

void AppendEscape(std::string& json, uint32_t unit) {
  constexpr char kDigits[] = "0123456789abcdef";
  json += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) json += kDigits[(unit >> shift) & 15];
}

void AppendJson(std::string& json, const Value& value) {
  if (const bool* flag = value.get_if<bool>()) {
    json += *flag ? "true" : "false";
  } else if (const int64_t* integer = value.get_if<int64_t>()) {
    json += std::to_string(*integer);
  } else if (const double* number = value.get_if<double>()) {
    json += std::isfinite(*number) ? FloatText(*number) : "null";
  } else if (const std::string* text = value.get_if<std::string>()) {
    AppendJsonString(json, *text, false);
  } else if (const List* list = value.get_if<List>()) {
    json += '[';
    for (size_t i = 0; i < list->size(); ++i) {
      if (i > 0) json += ',';
      AppendJson(json, (*list)[i]);
    }
    json += ']';
  } else if (const Dict* dict = value.get_if<Dict>()) {
    json += '{';
    for (size_t i = 0; i < dict->size(); ++i) {
      if (i > 0) json += ',';
      AppendJsonString(json, dict->items()[i].first, false);
      json += ':';
      AppendJson(json, dict->items()[i].second);
    }
    json += '}';
  } else {
    json += "null";
  }
}

}  // namespace

Value ParseJson(std::string_view text, std::string_view where) {
  Builder builder;
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) {
    throw Error(ErrorKind::kBadData, std::string(where) + ": not valid JSON at byte " +
                                         std::to_string(builder.offset()) + ": " + builder.error());
  }
  return builder.Take();
}

std::string ToJson(const Value& value) {
  std::string json;
  AppendJson(json, value);
  return json;
}

void AppendJsonString(std::string& json, std::string_view text, bool ascii) {
  json += '"';
  for (size_t position = 0; position < text.size();) {
    const size_t begin = position;
    const uint32_t c = unicode::Next(text, position);
    switch (c) {
      case '"':
        json += "\\\"";
        break;
      case '\\':
        json += "\\\\";
        break;
      case '\n':
        json += "\\n";
        break;
      case '\r':
        json += "\\r";
        break;
      case '\t':
        json += "\\t";
        break;
      case '\b':
        json += "\\b";
        break;
      case '\f':
        json += "\\f";
        break;
      default:
        if (c < 0x20 || (ascii && c >= 0x7F && c < 0x10000)) {
          AppendEscape(json, c);
        } else if (ascii && c >= 0x10000) {
          AppendEscape(json, 0xD800 + ((c - 0x10000) >> 10));
          AppendEscape(json, 0xDC00 + ((c - 0x10000) & 0x3FF));
        } else {
          json += text.substr(begin, position - begin);
        }
    }
  }
  json += '"';
}

std::string FloatText(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  // Digits first, in the scientific form; Python writes them plainly for exponents from -4 to 15.
  const auto scientific =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view digits(buffer, static_cast<size_t>(scientific.ptr - buffer));
  const size_t e = digits.find('e');
  const int exponent = std::stoi(std::string(digits.substr(e + 1)));
  if (exponent >= -4 && exponent < 16) {
    const auto plain =
        std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed);
    std::string text(buffer, static_cast<size_t>(plain.ptr - buffer));
    if (text.find('.') == std::string::npos) text += ".0";
    return text;
  }
  return std::string(digits);
}

}  // namespace breakeven
