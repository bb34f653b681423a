// Pure. Methods of str.
#include <algorithm>

#include "data_pipeline/template/format.h"
#include "data_pipeline/template/methods.h"
#include "data_pipeline/template/python_text.h"
#include "data_pipeline/template/unicode.h"

namespace breakeven::jinja {
namespace {

const std::string& Self(const MethodCall& call) { return *call.self.string(); }

// A string argument that may be left out or None: nullptr.
const std::string* OptionalText(const MethodCall& call, size_t i) {
  return call.arguments.has(i) && !call.arguments[i].is_none() ? &call.arguments.String(i)
                                                               : nullptr;
}

Object StripBoth(MethodCall& call) {
  return Object(StripText(Self(call), OptionalText(call, 0), true, true));
}
Object StripStart(MethodCall& call) {
  return Object(StripText(Self(call), OptionalText(call, 0), true, false));
}
Object StripEnd(MethodCall& call) {
  return Object(StripText(Self(call), OptionalText(call, 0), false, true));
}
Object ToLower(MethodCall& call) { return Object(unicode::Lower(Self(call))); }
Object ToUpper(MethodCall& call) { return Object(unicode::Upper(Self(call))); }
Object ToTitle(MethodCall& call) { return Object(unicode::Title(Self(call))); }
Object ToCapital(MethodCall& call) { return Object(unicode::Capitalize(Self(call))); }
Object ToSwapped(MethodCall& call) { return Object(unicode::SwapCase(Self(call))); }

Object StringList(const std::vector<std::string>& parts) {
  Objects items;
  items.reserve(parts.size());
  for (const std::string& part : parts) items.emplace_back(part);
  return Object::List(std::move(items));
}

Object Split(MethodCall& call) {
  return StringList(SplitText(Self(call), OptionalText(call, 0), call.arguments.Integer(1, -1)));
}
Object SplitRight(MethodCall& call) {
  return StringList(
      SplitTextRight(Self(call), OptionalText(call, 0), call.arguments.Integer(1, -1)));
}
Object SplitIntoLines(MethodCall& call) {
  return StringList(SplitLines(Self(call), call.arguments.Flag(0, false)));
}

Object PartitionAt(MethodCall& call, bool last) {
  const std::string& text = Self(call);
  const std::string& separator = call.arguments.String(0);
  if (separator.empty()) throw EvalError("partition needs a separator that is not empty");
  const size_t found = last ? text.rfind(separator) : text.find(separator);
  if (found == std::string::npos) {
    return last ? Object::Tuple({"", "", Object(text)}) : Object::Tuple({Object(text), "", ""});
  }
  return Object::Tuple({Object(text.substr(0, found)), Object(separator),
                        Object(text.substr(found + separator.size()))});
}
Object Partition(MethodCall& call) { return PartitionAt(call, false); }
Object PartitionRight(MethodCall& call) { return PartitionAt(call, true); }

Object ReplaceAll(MethodCall& call) {
  return Object(ReplaceText(Self(call), call.arguments.String(0), call.arguments.String(1),
                            call.arguments.Integer(2, -1)));
}

// The part of self that start and end (arguments i and i + 1) choose; false when start lies beyond
// the end.
bool Window(const MethodCall& call, size_t i, std::string_view& window, size_t& begin) {
  const std::string& text = Self(call);
  const auto length = static_cast<int64_t>(unicode::Length(text));
  const auto place = [&](size_t argument, int64_t otherwise) {
    if (!call.arguments.has(argument) || call.arguments[argument].is_none()) return otherwise;
    const int64_t index = call.arguments.Integer(argument, 0);
    return index < 0 ? std::max<int64_t>(index + length, 0) : index;
  };
  const int64_t start = place(i, 0);
  const int64_t stop = std::min(place(i + 1, length), length);
  if (start > length || start > stop) return false;
  begin = unicode::ByteOffset(text, static_cast<size_t>(start));
  const size_t end = unicode::ByteOffset(text, static_cast<size_t>(stop));
  window = std::string_view(text).substr(begin, end - begin);
  return true;
}

Object Affix(MethodCall& call, bool start) {
  std::string_view window;
  size_t begin = 0;
  if (!Window(call, 1, window, begin)) return Object(false);
  const auto matches = [&](const std::string& affix) {
    return start ? window.starts_with(affix) : window.ends_with(affix);
  };
  const auto* tuple = call.arguments[0].get<TupleObject>();
  if (tuple == nullptr) return Object(matches(call.arguments.String(0)));
  for (const Object& affix : tuple->items) {
    if (affix.string() == nullptr)
      throw EvalError("startswith and endswith take strings or a tuple of strings");
    if (matches(*affix.string())) return Object(true);
  }
  return Object(false);
}
Object StartsWith(MethodCall& call) { return Affix(call, true); }
Object EndsWith(MethodCall& call) { return Affix(call, false); }

int64_t FindIndex(const MethodCall& call, bool last) {
  std::string_view window;
  size_t begin = 0;
  const std::string& part = call.arguments.String(0);
  if (!Window(call, 1, window, begin)) return -1;
  const size_t found = last ? window.rfind(part) : window.find(part);
  if (found == std::string_view::npos) return -1;
  return static_cast<int64_t>(
      unicode::Length(std::string_view(Self(call)).substr(0, begin + found)));
}
Object Find(MethodCall& call) { return Object(FindIndex(call, false)); }
Object FindRight(MethodCall& call) { return Object(FindIndex(call, true)); }
Object IndexAt(MethodCall& call, bool last) {
  const int64_t index = FindIndex(call, last);
  if (index < 0)
    throw EvalError("index: " + ReprString(call.arguments.String(0)) + " is not in the string");
  return Object(index);
}
Object Index(MethodCall& call) { return IndexAt(call, false); }
Object IndexRight(MethodCall& call) { return IndexAt(call, true); }

Object Count(MethodCall& call) {
  std::string_view window;
  size_t begin = 0;
  const std::string& part = call.arguments.String(0);
  if (!Window(call, 1, window, begin)) return Object(int64_t{0});
  if (part.empty()) return Object(static_cast<int64_t>(unicode::Length(window)) + 1);
  int64_t count = 0;
  for (size_t found = window.find(part); found != std::string_view::npos;
       found = window.find(part, found + part.size())) {
    ++count;
  }
  return Object(count);
}

Object Join(MethodCall& call) {
  std::string result;
  bool first = true;
  for (const Object& item : Items(call.arguments[0])) {
    if (item.string() == nullptr) {
      throw EvalError("join: expected strings only, found " + std::string(TypeName(item)) +
                      "; use the filter |join");
    }
    if (!first) result += Self(call);
    first = false;
    result += *item.string();
    CheckBytes(result.size());
  }
  return Object(std::move(result));
}

Object RemovePrefix(MethodCall& call) {
  std::string_view text = Self(call);
  if (text.starts_with(call.arguments.String(0)))
    text.remove_prefix(call.arguments.String(0).size());
  return Object(text);
}
Object RemoveSuffix(MethodCall& call) {
  std::string_view text = Self(call);
  if (text.ends_with(call.arguments.String(0))) text.remove_suffix(call.arguments.String(0).size());
  return Object(text);
}

Object Justify(MethodCall& call, char align) {
  const std::string fill = call.arguments.has(1) ? call.arguments.String(1) : " ";
  if (unicode::Length(fill) != 1) throw EvalError("the fill character is one character");
  const int64_t width = call.arguments.Integer(0, 0);
  return Object(Pad(Self(call), static_cast<size_t>(std::max<int64_t>(width, 0)), align, fill));
}
Object JustifyLeft(MethodCall& call) { return Justify(call, '<'); }
Object JustifyRight(MethodCall& call) { return Justify(call, '>'); }
Object ZeroFill(MethodCall& call) {
  const int64_t width = call.arguments.Integer(0, 0);
  const std::string& text = Self(call);
  const size_t sign = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  const std::string digits =
      Pad(text.substr(sign),
          static_cast<size_t>(std::max<int64_t>(width - static_cast<int64_t>(sign), 0)), '>', "0");
  return Object(text.substr(0, sign) + digits);
}
Object CenterMethod(MethodCall& call) {
  const int64_t width = call.arguments.Integer(0, 0);
  const auto length = static_cast<int64_t>(unicode::Length(Self(call)));
  if (width <= length) return call.self;
  const int64_t missing = width - length;
  const int64_t left = missing / 2 + (missing & width & 1);
  const std::string fill = call.arguments.has(1) ? call.arguments.String(1) : " ";
  if (unicode::Length(fill) != 1) throw EvalError("the fill character is one character");
  std::string text = Pad(Self(call), static_cast<size_t>(length + left), '>', fill);
  return Object(Pad(std::move(text), static_cast<size_t>(width), '<', fill));
}

Object FormatMethod(Runtime& runtime, const Object& self, Arguments arguments) {
  return Object(FormatBraces(*self.string(), arguments, runtime));
}

}  // namespace

std::span<const Method> StringMethods() {
  static const std::vector<Method> kMethods = {
      {"strip", StripBoth, {""}},
      {"lstrip", StripStart, {""}},
      {"rstrip", StripEnd, {""}},
      {"lower", ToLower, {}},
      {"upper", ToUpper, {}},
      {"title", ToTitle, {}},
      {"capitalize", ToCapital, {}},
      {"swapcase", ToSwapped, {}},
      {"split", Split, {"sep", "maxsplit"}},
      {"rsplit", SplitRight, {"sep", "maxsplit"}},
      {"splitlines", SplitIntoLines, {"keepends"}},
      {"partition", Partition, {""}, 1},
      {"rpartition", PartitionRight, {""}, 1},
      {"replace", ReplaceAll, {"", "", ""}, 2},
      {"startswith", StartsWith, {"", "", ""}, 1},
      {"endswith", EndsWith, {"", "", ""}, 1},
      {"find", Find, {"", "", ""}, 1},
      {"rfind", FindRight, {"", "", ""}, 1},
      {"index", Index, {"", "", ""}, 1},
      {"rindex", IndexRight, {"", "", ""}, 1},
      {"count", Count, {"", "", ""}, 1},
      {"join", Join, {""}, 1},
      {"removeprefix", RemovePrefix, {""}, 1},
      {"removesuffix", RemoveSuffix, {""}, 1},
      {"ljust", JustifyLeft, {"", ""}, 1},
      {"rjust", JustifyRight, {"", ""}, 1},
      {"center", CenterMethod, {"", ""}, 1},
      {"zfill", ZeroFill, {""}, 1},
      {"format", nullptr, {}, 0, false, FormatMethod},
  };
  return kMethods;
}

}  // namespace breakeven::jinja
