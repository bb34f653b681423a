// Pure. Filters on single values: numbers, defaults, JSON.
#include <cmath>
#include <limits>

#include "data_pipeline/template/python_text.h"
#include "data_pipeline/template/runtime.h"

namespace breakeven::jinja {
namespace {

void NeedDefined(const Object& value) {
  if (const auto* undefined = value.get<UndefinedObject>()) throw EvalError(undefined->message());
}

Object Default(FilterCall& call) {
  const bool replaced =
      call.value.is_undefined() || (call.arguments.Flag(1, false) && !Truthy(call.value));
  return replaced ? call.arguments.Get(0, Object("")) : call.value;
}

// int(float): false where Python raises ValueError; EvalError beyond 64 bits.
bool Truncated(double number, Object& result) {
  if (std::isnan(number)) return false;
  constexpr double kBeyondInt64 = 9223372036854775808.0;
  if (std::abs(number) >= kBeyondInt64) throw EvalError("int: the number does not fit 64 bits");
  result = Object(static_cast<int64_t>(number));
  return true;
}

Object Int(FilterCall& call) {
  NeedDefined(call.value);
  const Object otherwise = call.arguments.Get(0, Object(int64_t{0}));
  Object result;
  int64_t integer = 0;
  if (const std::string* text = call.value.string()) {
    const auto parsed = ParseInteger(*text, static_cast<int>(call.arguments.Integer(1, 10)));
    if (parsed.has_value()) return Object(*parsed);
    const auto number = ParseFloat(*text);
    if (!number.has_value() || std::isinf(*number)) return otherwise;
    return Truncated(*number, result) ? result : otherwise;
  }
  if (ToInteger(call.value, integer)) return Object(integer);
  if (const double* number = call.value.number())
    return Truncated(*number, result) ? result : otherwise;
  return otherwise;
}

Object Float(FilterCall& call) {
  NeedDefined(call.value);
  double number = 0;
  if (const std::string* text = call.value.string()) {
    const auto parsed = ParseFloat(*text);
    return parsed.has_value() ? Object(*parsed) : call.arguments.Get(0, Object(0.0));
  }
  return ToDouble(call.value, number) ? Object(number) : call.arguments.Get(0, Object(0.0));
}

Object Abs(FilterCall& call) {
  NeedDefined(call.value);
  int64_t integer = 0;
  if (const double* number = call.value.number()) return Object(std::abs(*number));
  if (!ToInteger(call.value, integer))
    throw EvalError("abs: expected a number, found " + std::string(TypeName(call.value)));
  return integer < 0 ? Negate(Object(integer)) : Object(integer);
}

// round() of an integer to tens, hundreds …: half to even.
Object RoundInteger(int64_t integer, int64_t digits) {
  if (digits >= 0) return Object(integer);
  if (digits < -18) return Object(int64_t{0});
  int64_t unit = 1;
  for (int64_t i = 0; i > digits; --i) unit *= 10;
  int64_t remainder = integer % unit;
  int64_t down = integer - remainder;
  if (remainder < 0) {
    remainder += unit;
    down -= unit;
  }
  const bool odd = (down / unit) % 2 != 0;
  const bool up = remainder > unit - remainder || (remainder == unit - remainder && odd);
  return up ? Add(Object(down), Object(unit)) : Object(down);
}

Object Round(FilterCall& call) {
  NeedDefined(call.value);
  const int64_t precision = call.arguments.Integer(0, 0);
  const std::string method = call.arguments.has(1) ? call.arguments.String(1) : "common";
  double number = 0;
  int64_t integer = 0;
  if (!ToDouble(call.value, number)) {
    throw EvalError("round: expected a number, found " + std::string(TypeName(call.value)));
  }
  if (method == "common") {
    return ToInteger(call.value, integer) ? RoundInteger(integer, precision)
                                          : Object(RoundFloat(number, precision));
  }
  if (method != "ceil" && method != "floor")
    throw EvalError("round: the method is common, ceil or floor");
  const Object unit = Power(Object(int64_t{10}), Object(precision));
  double scaled = 0;
  ToDouble(Multiply(call.value, unit), scaled);
  double divisor = 0;
  ToDouble(unit, divisor);
  return Object((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / divisor);
}

std::optional<std::string> IndentOf(const BoundArguments& arguments, size_t i) {
  if (!arguments.has(i) || arguments[i].is_none()) return std::nullopt;
  if (const std::string* text = arguments[i].string()) return *text;
  const int64_t width = arguments.Integer(i, 0);
  if (width > 1000) throw EvalError("tojson: the indent is too large");
  return std::string(static_cast<size_t>(width < 0 ? 0 : width), ' ');
}

// Jinja's own: ASCII, sorted keys, HTML characters as escapes.
Object ToJsonForHtml(FilterCall& call) {
  JsonStyle style;
  style.ascii = true;
  style.sort_keys = true;
  style.indent = IndentOf(call.arguments, 0);
  if (style.indent.has_value()) style.item_separator = ",";
  std::string result;
  for (char c : DumpJson(call.value, style)) {
    switch (c) {
      case '<':
        result += "\\u003c";
        break;
      case '>':
        result += "\\u003e";
        break;
      case '&':
        result += "\\u0026";
        break;
      case '\'':
        result += "\\u0027";
        break;
      default:
        result += c;
    }
  }
  return Object(std::move(result));
}

Object ToJsonFilter(Runtime& runtime, Object value, Arguments arguments) {
  static constexpr std::string_view kHtml[] = {"indent"};
  static constexpr std::string_view kChat[] = {"ensure_ascii", "indent", "separators", "sort_keys"};
  if (!runtime.options().chat_functions) {
    FilterCall call{runtime, std::move(value),
                    BoundArguments("tojson", kHtml, 0, std::move(arguments))};
    return ToJsonForHtml(call);
  }
  const BoundArguments bound("tojson", kChat, 0, std::move(arguments));
  JsonStyle style;
  style.ascii = bound.Flag(0, false);
  style.indent = IndentOf(bound, 1);
  style.sort_keys = bound.Flag(3, false);
  if (style.indent.has_value()) style.item_separator = ",";
  if (bound.has(2) && !bound[2].is_none()) {
    const Objects separators = Items(bound[2]);
    if (separators.size() != 2 || !separators[0].is_string() || !separators[1].is_string()) {
      throw EvalError("tojson: separators are two strings, between items and behind keys");
    }
    style.item_separator = *separators[0].string();
    style.key_separator = *separators[1].string();
  }
  return Object(DumpJson(value, style));
}

Object Attr(FilterCall& call) {
  // Only attributes, never items: of a dict its methods.
  Object method;
  bool unsupported = false;
  const std::string name = call.arguments.String(0);
  if (call.value.get<DictObject>() == nullptr) return call.runtime.GetAttribute(call.value, name);
  if (FindMethod(call.value, name, method, unsupported)) return method;
  return call.runtime.Undefined([name] { return "attr: a dict has no attribute '" + name + "'"; });
}

}  // namespace

std::span<const Filter> ValueFilters() {
  static const std::vector<Filter> kFilters = {
      {"default", Default, {"default_value", "boolean"}},
      {"d", Default, {"default_value", "boolean"}},
      {"int", Int, {"default", "base"}},
      {"float", Float, {"default"}},
      {"abs", Abs, {}},
      {"round", Round, {"precision", "method"}},
      {"tojson", nullptr, {}, 0, ToJsonFilter},
      {"attr", Attr, {"name"}, 1},
  };
  return kFilters;
}

}  // namespace breakeven::jinja
