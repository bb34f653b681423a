// Pure. json.dumps of objects.
#include <algorithm>
#include <cmath>

#include "data_pipeline/template/runtime.h"

namespace breakeven::jinja {
namespace {

class Dumper {
 public:
  explicit Dumper(const JsonStyle& style) : style_(style) {}

  void Dump(const Object& object, int depth) {
    if (depth > kMaxNesting) throw EvalError("tojson: a list or dict is nested too deeply");
    CheckBytes(json_.size());
    if (object.is_none()) {
      json_ += "null";
    } else if (const bool* flag = object.boolean()) {
      json_ += *flag ? "true" : "false";
    } else if (const int64_t* integer = object.integer()) {
      json_ += std::to_string(*integer);
    } else if (const double* number = object.number()) {
      json_ += FloatJson(*number);
    } else if (const std::string* text = object.string()) {
      AppendJsonString(json_, *text, style_.ascii);
    } else if (const auto* list = object.get<ListObject>()) {
      DumpItems(list->items, depth);
    } else if (const auto* tuple = object.get<TupleObject>()) {
      DumpItems(tuple->items, depth);
    } else if (const auto* dict = object.get<DictObject>()) {
      DumpDict(*dict, depth);
    } else if (const auto* undefined = object.get<UndefinedObject>()) {
      throw EvalError("tojson: " + undefined->message());
    } else {
      throw EvalError("tojson: a " + std::string(TypeName(object)) + " cannot be written as JSON");
    }
  }

  std::string Take() { return std::move(json_); }

 private:
  static std::string FloatJson(double number) {
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
    return FloatText(number);
  }

  void NewLine(int depth) {
    if (!style_.indent.has_value()) return;
    json_ += '\n';
    for (int i = 0; i < depth; ++i) json_ += *style_.indent;
  }

  void DumpItems(const Objects& items, int depth) {
    json_ += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) json_ += style_.item_separator;
      NewLine(depth + 1);
      Dump(items[i], depth + 1);
    }
    if (!items.empty()) NewLine(depth);
    json_ += ']';
  }

  static std::string Key(const Object& key) {
    if (const std::string* text = key.string()) return *text;
    if (const bool* flag = key.boolean()) return *flag ? "true" : "false";
    if (const int64_t* integer = key.integer()) return std::to_string(*integer);
    if (const double* number = key.number()) return FloatJson(*number);
    if (key.is_none()) return "null";
    throw EvalError("tojson: a " + std::string(TypeName(key)) + " cannot be a key in JSON");
  }

  void DumpDict(const DictObject& dict, int depth) {
    std::vector<std::pair<Object, Object>> items = dict.items();
    if (style_.sort_keys) {
      std::stable_sort(items.begin(), items.end(),
                       [](const auto& a, const auto& b) { return Less(a.first, b.first); });
    }
    json_ += '{';
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) json_ += style_.item_separator;
      NewLine(depth + 1);
      AppendJsonString(json_, Key(items[i].first), style_.ascii);
      json_ += style_.key_separator;
      Dump(items[i].second, depth + 1);
    }
    if (!items.empty()) NewLine(depth);
    json_ += '}';
  }

  const JsonStyle& style_;
  std::string json_;
};

}  // namespace

std::string DumpJson(const Object& object, const JsonStyle& style) {
  Dumper dumper(style);
  dumper.Dump(object, 0);
  return dumper.Take();
}

}  // namespace breakeven::jinja
