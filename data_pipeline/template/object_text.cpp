// Pure. str() and repr().
#include "data_pipeline/template/object.h"
#include "data_pipeline/template/unicode.h"

namespace breakeven::jinja {
namespace {

void AppendRepr(std::string& text, const Object& object, int depth);

void AppendItems(std::string& text, const Objects& items, int depth) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) text += ", ";
    AppendRepr(text, items[i], depth + 1);
    CheckBytes(text.size());
  }
}

void AppendDict(std::string& text, const DictObject& dict, int depth) {
  text += '{';
  bool first = true;
  for (const auto& [key, value] : dict.items()) {
    if (!first) text += ", ";
    first = false;
    AppendRepr(text, key, depth + 1);
    text += ": ";
    AppendRepr(text, value, depth + 1);
    CheckBytes(text.size());
  }
  text += '}';
}

void AppendView(std::string& text, const ViewObject& view, int depth) {
  constexpr std::string_view kNames[] = {"dict_keys([", "dict_values([", "dict_items(["};
  text += kNames[static_cast<size_t>(view.what)];
  AppendItems(text, Items(Object(std::make_shared<ViewObject>(view))), depth);
  text += "])";
}

void AppendRange(std::string& text, const RangeObject& range) {
  text += "range(" + std::to_string(range.start) + ", " + std::to_string(range.stop);
  if (range.step != 1) text += ", " + std::to_string(range.step);
  text += ')';
}

void AppendRepr(std::string& text, const Object& object, int depth) {
  if (depth > kMaxNesting) throw EvalError("a list or dict is nested too deeply to print");
  if (object.is_none()) {
    text += "None";
  } else if (const bool* flag = object.boolean()) {
    text += *flag ? "True" : "False";
  } else if (const int64_t* integer = object.integer()) {
    text += std::to_string(*integer);
  } else if (const double* number = object.number()) {
    text += FloatText(*number);
  } else if (const std::string* string = object.string()) {
    text += ReprString(*string);
  } else if (const auto* list = object.get<ListObject>()) {
    text += '[';
    AppendItems(text, list->items, depth);
    text += ']';
  } else if (const auto* tuple = object.get<TupleObject>()) {
    text += '(';
    AppendItems(text, tuple->items, depth);
    text += tuple->items.size() == 1 ? ",)" : ")";
  } else if (const auto* dict = object.get<DictObject>()) {
    AppendDict(text, *dict, depth);
  } else if (const RangeObject* range = object.range()) {
    AppendRange(text, *range);
  } else if (const auto* view = object.get<ViewObject>()) {
    AppendView(text, *view, depth);
  } else if (const auto* names = object.get<NamespaceObject>()) {
    text += "<Namespace ";
    AppendDict(text, names->attributes, depth);
    text += '>';
  } else if (auto* loop = object.get<LoopObject>()) {
    text += "<LoopContext " + std::to_string(loop->index0 + 1) + "/" +
            std::to_string(loop->size()) + ">";
  } else if (object.is_undefined()) {
    text += "Undefined";
  } else if (const auto* function = object.get<CallableObject>()) {
    throw EvalError("'" + function->name +
                    "' is a function, not a text; call it: " + function->name + "(…)");
  } else {
    throw EvalError(
        "the result of a filter such as map or select has no text of its own; add |list or |join");
  }
}

}  // namespace

std::string ReprString(std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const bool has_double = text.find('"') != std::string_view::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  constexpr char kDigits[] = "0123456789abcdef";
  std::string repr(1, quote);
  for (size_t position = 0; position < text.size();) {
    const size_t begin = position;
    const uint32_t c = unicode::Next(text, position);
    if (c == static_cast<uint32_t>(quote) || c == '\\') {
      repr += '\\';
      repr += static_cast<char>(c);
    } else if (c == '\n') {
      repr += "\\n";
    } else if (c == '\r') {
      repr += "\\r";
    } else if (c == '\t') {
      repr += "\\t";
    } else if (unicode::IsPrintable(c)) {
      repr += text.substr(begin, position - begin);
    } else {
      const int num_digits = c < 0x100 ? 2 : c < 0x10000 ? 4 : 8;
      repr += '\\';
      repr += num_digits == 2 ? 'x' : num_digits == 4 ? 'u' : 'U';
      for (int shift = (num_digits - 1) * 4; shift >= 0; shift -= 4)
        repr += kDigits[(c >> shift) & 15];
    }
  }
  return repr + quote;
}

std::string Repr(const Object& object) {
  std::string text;
  AppendRepr(text, object, 0);
  return text;
}

std::string Str(const Object& object) {
  if (const std::string* text = object.string()) return *text;
  if (const auto* undefined = object.get<UndefinedObject>()) {
    if (undefined->strict) throw EvalError(undefined->message());
    return "";
  }
  return Repr(object);
}

}  // namespace breakeven::jinja
