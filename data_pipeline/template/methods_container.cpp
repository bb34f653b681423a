// Pure. Methods of list, tuple, range, dict and loop, and how a method is found.
#include <algorithm>

#include "data_pipeline/template/methods.h"

namespace breakeven::jinja {
namespace {

Objects& SelfItems(const MethodCall& call) { return call.self.get<ListObject>()->items; }

Object Append(MethodCall& call) {
  CheckItems(SelfItems(call).size() + 1);
  call.runtime.AboutToHold(call.self, call.arguments[0]);
  SelfItems(call).push_back(call.arguments[0]);
  return Object();
}

Object Extend(MethodCall& call) {
  const Objects more = Items(call.arguments[0]);
  Objects& items = SelfItems(call);
  CheckItems(items.size() + more.size());
  for (const Object& item : more) call.runtime.AboutToHold(call.self, item);
  items.insert(items.end(), more.begin(), more.end());
  return Object();
}

Object Insert(MethodCall& call) {
  Objects& items = SelfItems(call);
  CheckItems(items.size() + 1);
  call.runtime.AboutToHold(call.self, call.arguments[1]);
  const auto size = static_cast<int64_t>(items.size());
  int64_t place = call.arguments.Integer(0, 0);
  if (place < 0) place += size;
  items.insert(items.begin() + std::clamp<int64_t>(place, 0, size), call.arguments[1]);
  return Object();
}

Object Pop(MethodCall& call) {
  Objects& items = SelfItems(call);
  const auto size = static_cast<int64_t>(items.size());
  int64_t place = call.arguments.Integer(0, -1);
  if (place < 0) place += size;
  if (place < 0 || place >= size) throw EvalError("pop: the list has no such item");
  const Object item = items[static_cast<size_t>(place)];
  items.erase(items.begin() + place);
  return item;
}

Object Index(MethodCall& call) {
  const Objects items = Items(call.self);
  const auto size = static_cast<int64_t>(items.size());
  const auto bound = [&](size_t i, int64_t otherwise) {
    const int64_t place = call.arguments.Integer(i, otherwise);
    return std::clamp<int64_t>(place < 0 ? place + size : place, 0, size);
  };
  const int64_t stop = bound(2, size);
  for (int64_t i = bound(1, 0); i < stop; ++i) {
    if (Equal(items[static_cast<size_t>(i)], call.arguments[0])) return Object(i);
  }
  throw EvalError("index: " + Repr(call.arguments[0]) + " is not in the " +
                  std::string(TypeName(call.self)));
}

Object Count(MethodCall& call) {
  const Objects items = Items(call.self);
  return Object(
      static_cast<int64_t>(std::count_if(items.begin(), items.end(), [&](const Object& item) {
        return Equal(item, call.arguments[0]);
      })));
}

Object CopyList(MethodCall& call) { return Object::List(SelfItems(call)); }

DictObject& SelfDict(const MethodCall& call) { return *call.self.get<DictObject>(); }

Object Get(MethodCall& call) {
  const Object* found = SelfDict(call).Find(call.arguments[0]);
  return found != nullptr ? *found : call.arguments.Get(1, Object());
}

Object View(const MethodCall& call, ViewObject::What what) {
  return Object(std::make_shared<ViewObject>(ViewObject{call.self.share<DictObject>(), what}));
}
Object Keys(MethodCall& call) { return View(call, ViewObject::What::kKeys); }
Object Values(MethodCall& call) { return View(call, ViewObject::What::kValues); }
Object DictItems(MethodCall& call) { return View(call, ViewObject::What::kItems); }

Object CopyDict(MethodCall& call) { return Object(std::make_shared<DictObject>(SelfDict(call))); }

Object SetDefault(MethodCall& call) {
  if (const Object* found = SelfDict(call).Find(call.arguments[0])) return *found;
  call.runtime.AboutToHold(call.self, call.arguments.Get(1, Object()));
  SelfDict(call).Set(call.arguments[0], call.arguments.Get(1, Object()));
  return call.arguments.Get(1, Object());
}

Object PopKey(MethodCall& call) {
  const Object* found = SelfDict(call).Find(call.arguments[0]);
  if (found == nullptr) {
    if (call.arguments.has(1)) return call.arguments[1];
    throw EvalError("pop: the dict has no key " + Repr(call.arguments[0]));
  }
  const Object value = *found;
  SelfDict(call).Erase(call.arguments[0]);
  return value;
}

Object Update(Runtime& runtime, const Object& self, Arguments arguments) {
  DictObject& dict = *self.get<DictObject>();
  if (arguments.positional.size() > 1)
    throw EvalError("update takes at most one dict and named values");
  if (!arguments.positional.empty()) {
    const auto* more = arguments.positional[0].get<DictObject>();
    if (more == nullptr)
      throw EvalError("update: expected a dict, found " +
                      std::string(TypeName(arguments.positional[0])));
    const DictObject copy = *more;
    for (const auto& [key, value] : copy.items()) {
      runtime.AboutToHold(self, value);
      dict.Set(key, value);
    }
  }
  for (const auto& [name, value] : arguments.named) {
    runtime.AboutToHold(self, value);
    dict.Set(Object(name), value);
  }
  return Object();
}

Object Cycle(Runtime&, const Object& self, Arguments arguments) {
  if (arguments.positional.empty()) throw EvalError("loop.cycle needs items to cycle through");
  const auto index = static_cast<size_t>(self.get<LoopObject>()->index0);
  return arguments.positional[index % arguments.positional.size()];
}

Object Changed(Runtime& runtime, const Object& self, Arguments arguments) {
  auto* loop = self.get<LoopObject>();
  const Object now = Object::Tuple(arguments.positional);
  const bool same = loop->changed != nullptr && Equal(Object::Tuple(*loop->changed), now);
  for (const Object& argument : arguments.positional) runtime.AboutToHold(self, argument);
  loop->changed = std::make_shared<Objects>(std::move(arguments.positional));
  return Object(!same);
}

std::vector<std::span<const Method>> TablesOf(const Object& object) {
  if (object.is_string()) return {StringMethods(), StringPredicates()};
  if (object.get<ListObject>() != nullptr) return {ListMethods(), TupleMethods()};
  if (object.get<TupleObject>() != nullptr || object.range() != nullptr) return {TupleMethods()};
  if (object.get<DictObject>() != nullptr) return {DictMethods()};
  if (object.get<LoopObject>() != nullptr) return {LoopMethods()};
  return {};
}

// What Python's types have beyond our tables: an access to one of these would not be undefined
// there.
bool IsOtherPythonMethod(const Object& object, std::string_view name) {
  static constexpr std::string_view kString[] = {"casefold",   "encode",    "expandtabs",
                                                 "format_map", "maketrans", "translate"};
  static constexpr std::string_view kList[] = {"clear", "remove", "reverse", "sort"};
  static constexpr std::string_view kDict[] = {"clear", "fromkeys", "popitem"};
  const auto has = [&](std::span<const std::string_view> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (name.starts_with("__")) return true;
  if (object.is_string()) return has(kString);
  if (object.get<ListObject>() != nullptr) return has(kList);
  return object.get<DictObject>() != nullptr && has(kDict);
}

}  // namespace

std::span<const Method> ListMethods() {
  static const std::vector<Method> kMethods = {
      {"append", Append, {""}, 1, true},
      {"extend", Extend, {""}, 1, true},
      {"insert", Insert, {"", ""}, 2, true},
      {"pop", Pop, {""}, 0, true},
      {"copy", CopyList, {}},
  };
  return kMethods;
}

std::span<const Method> TupleMethods() {
  static const std::vector<Method> kMethods = {{"index", Index, {"", "", ""}, 1},
                                               {"count", Count, {""}, 1}};
  return kMethods;
}

std::span<const Method> DictMethods() {
  static const std::vector<Method> kMethods = {
      {"get", Get, {"", ""}, 1},
      {"items", DictItems, {}},
      {"keys", Keys, {}},
      {"values", Values, {}},
      {"copy", CopyDict, {}},
      {"setdefault", SetDefault, {"", ""}, 1, true},
      {"pop", PopKey, {"", ""}, 1, true},
      {"update", nullptr, {}, 0, true, Update},
  };
  return kMethods;
}

std::span<const Method> LoopMethods() {
  static const std::vector<Method> kMethods = {{"cycle", nullptr, {}, 0, false, Cycle},
                                               {"changed", nullptr, {}, 0, false, Changed}};
  return kMethods;
}

bool FindMethod(const Object& object, std::string_view name, Object& method, bool& unsupported) {
  unsupported = false;
  for (const std::span<const Method> table : TablesOf(object)) {
    for (const Method& entry : table) {
      if (entry.name != name) continue;
      const Method* found = &entry;  // tables are static
      const auto call = [found, object](Runtime& runtime, Arguments arguments) {
        if (found->mutates && runtime.options().chat_functions) {
          throw EvalError("'" + std::string(found->name) +
                          "' would change a value; chat templates may not");
        }
        if (found->apply_raw != nullptr)
          return found->apply_raw(runtime, object, std::move(arguments));
        MethodCall bound{runtime, object,
                         BoundArguments(found->name, found->parameters, found->num_required,
                                        std::move(arguments))};
        return found->apply(bound);
      };
      method = Object(
          std::make_shared<CallableObject>(CallableObject{std::string(name), call, {object}}));
      return true;
    }
  }
  unsupported = IsOtherPythonMethod(object, name);
  return false;
}

std::vector<std::string> MethodNames() {
  std::vector<std::string> names;
  for (const std::span<const Method> table : {StringMethods(), StringPredicates(), ListMethods(),
                                              TupleMethods(), DictMethods(), LoopMethods()}) {
    for (const Method& method : table) names.emplace_back(method.name);
  }
  return names;
}

}  // namespace breakeven::jinja
