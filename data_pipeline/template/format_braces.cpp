// Pure. str.format and format specs.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "data_pipeline/template/format.h"
#include "data_pipeline/template/runtime.h"
#include "data_pipeline/template/unicode.h"

namespace breakeven::jinja {
namespace {

struct Spec {
  std::string fill = " ";
  char align = 0;
  bool zero = false;
  size_t width = 0;
  char grouping = 0;  // , or _
  char type = 0;
  NumberFormat number;
};

Spec ParseSpec(std::string_view text) {
  Spec spec;
  size_t position = 0;
  const auto is_align = [](char c) {
    return std::string_view("<>=^").find(c) != std::string_view::npos;
  };
  if (!text.empty()) {
    size_t behind = 0;
    unicode::Next(text, behind);
    if (behind < text.size() && is_align(text[behind])) {
      spec.fill = text.substr(0, behind);
      spec.align = text[behind];
      position = behind + 1;
    } else if (is_align(text[0])) {
      spec.align = text[0];
      position = 1;
    }
  }
  const auto take = [&](char c) {
    if (position >= text.size() || text[position] != c) return false;
    ++position;
    return true;
  };
  if (take('+'))
    spec.number.plus = true;
  else if (take(' '))
    spec.number.space = true;
  else
    take('-');
  spec.number.alternate = take('#');
  spec.zero = take('0');
  spec.width = static_cast<size_t>(std::max(0, ReadCount(text, position)));
  if (take(','))
    spec.grouping = ',';
  else if (take('_'))
    spec.grouping = '_';
  if (take('.')) {
    spec.number.precision = ReadCount(text, position);
    if (spec.number.precision < 0) throw EvalError("a format spec has '.' without a precision");
  }
  if (position < text.size()) spec.type = text[position++];
  if (position < text.size()) throw EvalError("invalid format spec '" + std::string(text) + "'");
  return spec;
}

void GroupDigits(std::string& text, char separator) {
  size_t begin = 0;
  while (begin < text.size() && (text[begin] < '0' || text[begin] > '9')) ++begin;
  size_t end = begin;
  while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
  for (size_t i = end; i > begin + 3; i -= 3) text.insert(i - 3, 1, separator);
}

// A float without a type: repr, but with the precision as significant digits.
std::string GeneralFloat(double value, const NumberFormat& format) {
  std::string text;
  if (format.precision < 0) {
    text = FloatText(value);
    if (value >= 0 && format.plus) text.insert(0, "+");
    if (value >= 0 && format.space) text.insert(0, " ");
    return text;
  }
  NumberFormat general = format;
  general.type = 'g';
  general.precision = std::max(1, format.precision);
  text = FormatNumber(Object(value), general);
  const bool plain = text.find_first_of(".en") == std::string::npos;
  return plain ? text + ".0" : text;
}

std::string FormatText(const std::string& text, const Spec& spec, std::string_view source) {
  if ((spec.type != 0 && spec.type != 's') || spec.grouping != 0 || spec.align == '=' ||
      spec.number.plus || spec.number.space || spec.number.alternate) {
    throw EvalError("invalid format spec '" + std::string(source) + "' for a string");
  }
  std::string shown = text;
  if (spec.number.precision >= 0) {
    shown.resize(unicode::ByteOffset(shown, static_cast<size_t>(spec.number.precision)));
  }
  return Pad(std::move(shown), spec.width, spec.align != 0 ? spec.align : '<',
             spec.zero && spec.align == 0 ? "0" : spec.fill);
}

// The format string's parser; nested specs recurse once, as in Python.
class BraceFormatter {
 public:
  BraceFormatter(const Arguments& arguments, Runtime& runtime)
      : arguments_(arguments), runtime_(runtime) {}

  std::string Run(std::string_view text, int depth) {
    if (depth > 1) throw EvalError("a format spec is nested too deeply");
    std::string result;
    for (size_t position = 0; position < text.size();) {
      const char c = text[position];
      if ((c == '{' || c == '}') && text.substr(position + 1, 1) == std::string_view(&c, 1)) {
        result += c;
        position += 2;
      } else if (c == '}') {
        throw EvalError("a format string has a single '}'");
      } else if (c == '{') {
        result += Field(text, ++position, depth);
      } else {
        result += c;
        ++position;
      }
      CheckBytes(result.size());
    }
    return result;
  }

 private:
  // `position` is behind the opening brace and moves behind the closing one.
  std::string Field(std::string_view text, size_t& position, int depth) {
    const size_t begin = position;
    int open = 1;
    while (position < text.size() && open > 0) {
      if (text[position] == '{') ++open;
      if (text[position] == '}') --open;
      ++position;
    }
    if (open > 0) throw EvalError("a format string has '{' without '}'");
    std::string_view field = text.substr(begin, position - 1 - begin);
    std::string spec;
    char conversion = 0;
    const size_t mark = field.find_first_of("!:");
    Object value =
        Value(field.substr(0, mark));  // before the spec: automatic numbers run left to right
    if (mark != std::string_view::npos) {
      std::string_view rest = field.substr(mark);
      if (rest[0] == '!') {
        if (rest.size() < 2 || (rest.size() > 2 && rest[2] != ':'))
          throw EvalError("a format string has a bad '!'");
        conversion = rest[1];
        rest = rest.substr(2);
      }
      if (!rest.empty()) spec = Run(rest.substr(1), depth + 1);
    }
    if (conversion == 'r')
      value = Object(Repr(value));
    else if (conversion == 's')
      value = Object(Str(value));
    else if (conversion != 0)
      throw EvalError("a format string has a conversion other than !s and !r");
    return FormatSpec(value, spec);
  }

  Object Value(std::string_view name) {
    size_t end = std::min(name.find_first_of(".["), name.size());
    Object value = First(name.substr(0, end));
    while (end < name.size()) {
      if (name[end] == '.') {
        const size_t next = std::min(name.find_first_of(".[", end + 1), name.size());
        value = runtime_.GetAttribute(value, name.substr(end + 1, next - end - 1));
        end = next;
      } else {
        const size_t close = name.find(']', end);
        if (close == std::string_view::npos) throw EvalError("a format string has '[' without ']'");
        const std::string_view key = name.substr(end + 1, close - end - 1);
        int64_t index = 0;
        const auto parsed = std::from_chars(key.data(), key.data() + key.size(), index);
        const bool number = parsed.ec == std::errc() && parsed.ptr == key.data() + key.size();
        value = runtime_.GetItem(value, number ? Object(index) : Object(key));
        end = close + 1;
      }
    }
    return value;
  }

  Object First(std::string_view name) {
    size_t index = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), index);
    if (name.empty() || (parsed.ec == std::errc() && parsed.ptr == name.data() + name.size())) {
      if (name.empty()) index = next_++;
      if (index >= arguments_.positional.size())
        throw EvalError("a format string needs more values than it is given");
      return arguments_.positional[index];
    }
    for (const auto& [given, value] : arguments_.named) {
      if (given == name) return value;
    }
    throw EvalError("a format string names '" + std::string(name) + "', which is not given");
  }

  const Arguments& arguments_;
  Runtime& runtime_;
  size_t next_ = 0;
};

}  // namespace

std::string FormatSpec(const Object& object, std::string_view source) {
  const bool is_text = object.is_string() || (object.boolean() != nullptr && source.empty());
  if (source.empty()) return Str(object);
  Spec spec = ParseSpec(source);
  if (is_text) return FormatText(*object.string(), spec, source);
  double number = 0;
  if (!ToDouble(object, number)) {
    throw EvalError("a " + std::string(TypeName(object)) + " takes no format spec; found '" +
                    std::string(source) + "'");
  }
  if (spec.zero && spec.align == 0) {
    spec.align = '=';
    spec.fill = "0";
  }
  std::string text;
  const bool is_float = object.number() != nullptr;
  if (spec.type == '%') {
    spec.number.type = 'f';
    text = FormatNumber(Object(number * 100), spec.number) + "%";
  } else if (spec.type == 0 && is_float) {
    text = GeneralFloat(number, spec.number);
  } else {
    spec.number.type = spec.type == 0 || spec.type == 'n' ? (is_float ? 'g' : 'd') : spec.type;
    const bool integer_type =
        std::string_view("dxXob").find(spec.number.type) != std::string_view::npos;
    if (is_float && integer_type)
      throw EvalError("the format '" + std::string(source) + "' needs an integer, found float");
    if (integer_type && spec.number.precision >= 0)
      throw EvalError("an integer's format takes no precision");
    text = FormatNumber(object, spec.number);
  }
  if (spec.grouping != 0) GroupDigits(text, spec.grouping);
  return Pad(std::move(text), spec.width, spec.align != 0 ? spec.align : '>', spec.fill);
}

std::string FormatBraces(std::string_view text, const Arguments& arguments, Runtime& runtime) {
  return BraceFormatter(arguments, runtime).Run(text, 0);
}

}  // namespace breakeven::jinja
