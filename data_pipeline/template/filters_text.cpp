// Pure. Filters that make text.
#include <algorithm>

#include "data_pipeline/template/format.h"
#include "data_pipeline/template/python_text.h"
#include "data_pipeline/template/runtime.h"
#include "data_pipeline/template/unicode.h"
#include "data_pipeline/tokenizer/python_regex.h"

namespace breakeven::jinja {
namespace {

Object Trim(FilterCall& call) {
  const bool chars = call.arguments.has(0) && !call.arguments[0].is_none();
  return Object(
      StripText(Str(call.value), chars ? &call.arguments.String(0) : nullptr, true, true));
}

Object LowerFilter(FilterCall& call) { return Object(unicode::Lower(Str(call.value))); }
Object UpperFilter(FilterCall& call) { return Object(unicode::Upper(Str(call.value))); }
Object CapitalizeFilter(FilterCall& call) { return Object(unicode::Capitalize(Str(call.value))); }
Object StringFilter(FilterCall& call) { return Object(Str(call.value)); }

// Jinja's own title: words begin after blanks, hyphens and opening brackets.
Object TitleFilter(FilterCall& call) {
  const std::string text = Str(call.value);
  const auto begins_word = [](uint32_t c) {
    return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || unicode::IsSpace(c);
  };
  std::string result;
  size_t position = 0;
  while (position < text.size()) {
    const size_t begin = position;
    const bool gap = begins_word(unicode::Next(text, position));
    const size_t first_end = position;
    while (position < text.size()) {
      size_t behind = position;
      if (begins_word(unicode::Next(text, behind)) != gap) break;
      position = behind;
    }
    result += unicode::Upper(std::string_view(text).substr(begin, first_end - begin));
    result += unicode::Lower(std::string_view(text).substr(first_end, position - first_end));
  }
  return Object(std::move(result));
}

Object Replace(FilterCall& call) {
  const int64_t count =
      call.arguments.has(2) && !call.arguments[2].is_none() ? call.arguments.Integer(2, -1) : -1;
  return Object(
      ReplaceText(Str(call.value), Str(call.arguments[0]), Str(call.arguments[1]), count));
}

Object EscapeFilter(FilterCall& call) {
  std::string result;
  for (char c : Str(call.value)) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '\'':
        result += "&#39;";
        break;
      case '"':
        result += "&#34;";
        break;
      default:
        result += c;
    }
  }
  return Object(std::move(result));
}

const std::string& NeedString(const Object& value, std::string_view filter) {
  if (const auto* undefined = value.get<UndefinedObject>()) throw EvalError(undefined->message());
  if (value.string() == nullptr) {
    throw EvalError(std::string(filter) + ": expected a string, found " +
                    std::string(TypeName(value)));
  }
  return *value.string();
}

Object Indent(FilterCall& call) {
  std::string indention;
  if (call.arguments.has(0) && call.arguments[0].is_string()) {
    indention = *call.arguments[0].string();
  } else {
    const int64_t width = call.arguments.Integer(0, 4);
    CheckBytes(static_cast<size_t>(std::max<int64_t>(width, 0)));
    indention.assign(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
  }
  const bool first = call.arguments.Flag(1, false);
  const bool blank = call.arguments.Flag(2, false);
  const std::vector<std::string> lines = SplitLines(NeedString(call.value, "indent") + "\n", false);
  std::string result = first ? indention : "";
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) result += '\n';
    if (i > 0 && (blank || !lines[i].empty())) result += indention;
    result += lines[i];
    CheckBytes(result.size());
  }
  return Object(std::move(result));
}

Object Truncate(FilterCall& call) {
  const std::string& text = NeedString(call.value, "truncate");
  const int64_t length = call.arguments.Integer(0, 255);
  const std::string end = call.arguments.has(2) ? call.arguments.String(2) : "...";
  const bool leeway_given = call.arguments.has(3) && !call.arguments[3].is_none();
  const int64_t leeway = leeway_given ? call.arguments.Integer(3, 5) : 5;
  const auto end_length = static_cast<int64_t>(unicode::Length(end));
  if (length < end_length || leeway < 0)
    throw EvalError("truncate: the length is shorter than the end, or leeway is negative");
  const auto text_length = static_cast<int64_t>(unicode::Length(text));
  if (text_length <= length || text_length - length <= leeway) return call.value;
  const std::string head =
      text.substr(0, unicode::ByteOffset(text, static_cast<size_t>(length - end_length)));
  if (call.arguments.Flag(1, false)) return Object(head + end);
  const size_t space = head.rfind(' ');
  return Object(head.substr(0, space) + end);
}

Object Center(FilterCall& call) {
  const int64_t width = call.arguments.Integer(0, 80);
  const std::string text = Str(call.value);
  const auto length = static_cast<int64_t>(unicode::Length(text));
  if (width <= length) return Object(text);
  CheckBytes(static_cast<size_t>(width));
  const int64_t missing = width - length;
  const int64_t left = missing / 2 + (missing & width & 1);  // CPython's choice of the odd side
  return Object(std::string(static_cast<size_t>(left), ' ') + text +
                std::string(static_cast<size_t>(missing - left), ' '));
}

Object WordCount(FilterCall& call) {
  const std::string text = Str(call.value);
  int64_t words = 0;
  bool inside = false;
  for (size_t position = 0; position < text.size();) {
    const uint32_t c = unicode::Next(text, position);
    const bool part = c == '_' || unicode::IsAlnum(c);
    if (part && !inside) ++words;
    inside = part;
  }
  return Object(words);
}

Object FormatFilter(Runtime&, Object value, Arguments arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    throw EvalError("format: takes either positional or named values, not both");
  }
  if (arguments.named.empty())
    return Object(FormatPercent(Str(value), Object::Tuple(std::move(arguments.positional))));
  auto named = std::make_shared<DictObject>();
  for (auto& [name, item] : arguments.named) named->Set(Object(name), std::move(item));
  return Object(FormatPercent(Str(value), Object(std::move(named))));
}

// lm-evaluation-harness's own filter: re.sub(pattern, repl, string, count).
Object RegexReplaceFilter(FilterCall& call) {
  if (call.runtime.options().chat_functions)
    throw EvalError("regex_replace does not exist in chat templates");
  const std::string& text = NeedString(call.value, "regex_replace");
  try {
    std::string result = RegexReplace(text, call.arguments.String(0), call.arguments.String(1),
                                      call.arguments.Integer(2, 0), kMaxBytes);
    return Object(std::move(result));
  } catch (const RegexError& error) {
    throw EvalError(std::string("regex_replace: ") + error.what());
  }
}

}  // namespace

std::span<const Filter> TextFilters() {
  static const std::vector<Filter> kFilters = {
      {"trim", Trim, {"chars"}},
      {"lower", LowerFilter, {}},
      {"upper", UpperFilter, {}},
      {"title", TitleFilter, {}},
      {"capitalize", CapitalizeFilter, {}},
      {"string", StringFilter, {}},
      {"safe", StringFilter, {}},
      {"e", EscapeFilter, {}},
      {"escape", EscapeFilter, {}},
      {"forceescape", EscapeFilter, {}},
      {"replace", Replace, {"old", "new", "count"}, 2},
      {"indent", Indent, {"width", "first", "blank"}},
      {"truncate", Truncate, {"length", "killwords", "end", "leeway"}},
      {"center", Center, {"width"}},
      {"wordcount", WordCount, {}},
      {"format", nullptr, {}, 0, FormatFilter},
      {"regex_replace", RegexReplaceFilter, {"pattern", "repl", "count"}, 2},
  };
  return kFilters;
}

}  // namespace breakeven::jinja
