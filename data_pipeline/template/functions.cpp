// Pure. Global functions.
#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "data_pipeline/template/runtime.h"

namespace breakeven::jinja {
namespace {

using Function = Object (*)(Runtime& runtime, Arguments arguments);

constexpr int64_t kMaxChatRange = 100'000;  // the limit of transformers' sandbox

Object Range(Runtime& runtime, Arguments arguments) {
  static constexpr std::string_view kParameters[] = {"", "", ""};
  const size_t given = arguments.positional.size();
  const BoundArguments bound("range", kParameters, 1, std::move(arguments));
  RangeObject range;
  range.start = given > 1 ? bound.Integer(0, 0) : 0;
  range.stop = bound.Integer(given > 1 ? 1 : 0, 0);
  range.step = bound.Integer(2, 1);
  if (range.step == 0) throw EvalError("range: the step cannot be 0");
  if (runtime.options().chat_functions && range.size() > kMaxChatRange) {
    throw EvalError("range: more than " + std::to_string(kMaxChatRange) +
                    " numbers are not allowed");
  }
  return Object(range);
}

// dict(mapping or pairs, name=value, …)
DictObject MakeDict(std::string_view function, Arguments& arguments) {
  DictObject dict;
  if (arguments.positional.size() > 1)
    throw EvalError(std::string(function) + " takes at most one dict and named values");
  if (!arguments.positional.empty()) {
    if (const auto* other = arguments.positional[0].get<DictObject>()) {
      dict = *other;
    } else {
      for (const Object& pair : Items(arguments.positional[0])) {
        const Objects parts = Items(pair);
        if (parts.size() != 2)
          throw EvalError(std::string(function) + ": expected pairs of key and value");
        dict.Set(parts[0], parts[1]);
      }
    }
  }
  for (auto& [name, value] : arguments.named) dict.Set(Object(name), std::move(value));
  return dict;
}

Object DictFunction(Runtime&, Arguments arguments) {
  return Object(std::make_shared<DictObject>(MakeDict("dict", arguments)));
}

Object Namespace(Runtime&, Arguments arguments) {
  return Object(
      std::make_shared<NamespaceObject>(NamespaceObject{MakeDict("namespace", arguments)}));
}

Object RaiseException(Runtime&, Arguments arguments) {
  static constexpr std::string_view kParameters[] = {"message"};
  const BoundArguments bound("raise_exception", kParameters, 1, std::move(arguments));
  throw EvalError("the template refuses: " + Str(bound[0]));
}

// Today, or the moment that SOURCE_DATE_EPOCH names (in UTC), so that a run can be repeated on
// another day.
Object StrftimeNow(Runtime&, Arguments arguments) {
  static constexpr std::string_view kParameters[] = {"format"};
  const BoundArguments bound("strftime_now", kParameters, 1, std::move(arguments));
  std::tm parts{};
  std::time_t now = std::time(nullptr);
  if (const char* fixed = std::getenv("SOURCE_DATE_EPOCH")) {
    now = static_cast<std::time_t>(std::strtoll(fixed, nullptr, 10));
    gmtime_r(&now, &parts);
  } else {
    localtime_r(&now, &parts);
  }
  const std::string& format = bound.String(0);
  if (format.empty()) return Object("");
  std::string text(1024, '\0');
  text.resize(std::strftime(text.data(), text.size(), format.c_str(), &parts));
  return Object(std::move(text));
}

struct Entry {
  std::string_view name;
  Function function;
  bool chat_only;
};

constexpr Entry kFunctions[] = {
    {"range", Range, false},
    {"dict", DictFunction, false},
    {"namespace", Namespace, false},
    {"raise_exception", RaiseException, true},
    {"strftime_now", StrftimeNow, true},
};

}  // namespace

bool FindFunction(std::string_view name, const TemplateOptions& options, Object& function) {
  for (const Entry& entry : kFunctions) {
    if (entry.name != name || (entry.chat_only && !options.chat_functions)) continue;
    function = Object(
        std::make_shared<CallableObject>(CallableObject{std::string(name), entry.function, {}}));
    return true;
  }
  return false;
}

std::vector<std::string> FunctionNames(const TemplateOptions& options) {
  std::vector<std::string> names;
  for (const Entry& entry : kFunctions) {
    if (!entry.chat_only || options.chat_functions) names.emplace_back(entry.name);
  }
  return names;
}

}  // namespace breakeven::jinja
