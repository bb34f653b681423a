// Pure. `is` tests.
#include <algorithm>

#include "comm/base/suggest.h"
#include "data_pipeline/template/runtime.h"
#include "data_pipeline/template/unicode.h"

namespace breakeven::jinja {
namespace {

using Test = bool (*)(Runtime& runtime, const Object& value, const Objects& arguments);

bool Remainder(const Object& value, const Object& divisor, int64_t expected) {
  if (value.is_string()) throw EvalError("expected a number, found str");
  return Equal(Modulo(value, divisor), Object(expected));
}

// str.islower and str.isupper: some cased letter, and none of the other case.
bool AllOfCase(const std::string& text, bool lower) {
  bool found = false;
  for (size_t position = 0; position < text.size();) {
    const uint32_t c = unicode::Next(text, position);
    if (unicode::IsTitle(c) || (lower ? unicode::IsUpper(c) : unicode::IsLower(c))) return false;
    found = found || (lower ? unicode::IsLower(c) : unicode::IsUpper(c));
  }
  return found;
}

bool IsSequence(const Object& value) {
  if (const auto* undefined = value.get<UndefinedObject>()) return !undefined->strict;
  return value.is_string() || value.get<ListObject>() != nullptr ||
         value.get<TupleObject>() != nullptr || value.get<DictObject>() != nullptr ||
         value.range() != nullptr;
}

bool SameAs(const Object& a, const Object& b) {
  if (a.is_string() && b.is_string()) return *a.string() == *b.string();
  return a.storage() == b.storage();
}

struct Entry {
  std::string_view name;
  size_t num_arguments;
  Test test;
};

bool Eq(Runtime&, const Object& v, const Objects& a) { return Equal(v, a[0]); }
bool Ne(Runtime&, const Object& v, const Objects& a) { return !Equal(v, a[0]); }
bool Lt(Runtime&, const Object& v, const Objects& a) { return Less(v, a[0], "<"); }
bool Le(Runtime&, const Object& v, const Objects& a) { return Less(v, a[0], "<="); }
bool Gt(Runtime&, const Object& v, const Objects& a) { return Less(v, a[0], ">"); }
bool Ge(Runtime&, const Object& v, const Objects& a) { return Less(v, a[0], ">="); }

const Entry kTests[] = {
    {"defined", 0, [](Runtime&, const Object& v, const Objects&) { return !v.is_undefined(); }},
    {"undefined", 0, [](Runtime&, const Object& v, const Objects&) { return v.is_undefined(); }},
    {"none", 0, [](Runtime&, const Object& v, const Objects&) { return v.is_none(); }},
    {"boolean", 0,
     [](Runtime&, const Object& v, const Objects&) { return v.boolean() != nullptr; }},
    {"true", 0,
     [](Runtime&, const Object& v, const Objects&) {
       return v.boolean() != nullptr && *v.boolean();
     }},
    {"false", 0,
     [](Runtime&, const Object& v, const Objects&) {
       return v.boolean() != nullptr && !*v.boolean();
     }},
    {"integer", 0,
     [](Runtime&, const Object& v, const Objects&) { return v.integer() != nullptr; }},
    {"float", 0, [](Runtime&, const Object& v, const Objects&) { return v.number() != nullptr; }},
    {"number", 0,
     [](Runtime&, const Object& v, const Objects&) {
       return v.integer() != nullptr || v.number() != nullptr || v.boolean() != nullptr;
     }},
    {"string", 0, [](Runtime&, const Object& v, const Objects&) { return v.is_string(); }},
    {"mapping", 0,
     [](Runtime&, const Object& v, const Objects&) { return v.get<DictObject>() != nullptr; }},
    {"sequence", 0, [](Runtime&, const Object& v, const Objects&) { return IsSequence(v); }},
    {"iterable", 0, [](Runtime&, const Object& v, const Objects&) { return IsIterable(v); }},
    {"callable", 0,
     [](Runtime&, const Object& v, const Objects&) {
       return v.get<CallableObject>() != nullptr || v.is_undefined();
     }},
    {"escaped", 0, [](Runtime&, const Object&, const Objects&) { return false; }},
    {"lower", 0, [](Runtime&, const Object& v, const Objects&) { return AllOfCase(Str(v), true); }},
    {"upper", 0,
     [](Runtime&, const Object& v, const Objects&) { return AllOfCase(Str(v), false); }},
    {"even", 0,
     [](Runtime&, const Object& v, const Objects&) { return Remainder(v, Object(int64_t{2}), 0); }},
    {"odd", 0,
     [](Runtime&, const Object& v, const Objects&) { return Remainder(v, Object(int64_t{2}), 1); }},
    {"divisibleby", 1,
     [](Runtime&, const Object& v, const Objects& a) { return Remainder(v, a[0], 0); }},
    {"sameas", 1, [](Runtime&, const Object& v, const Objects& a) { return SameAs(v, a[0]); }},
    {"in", 1, [](Runtime&, const Object& v, const Objects& a) { return Contains(a[0], v); }},
    {"filter", 0,
     [](Runtime&, const Object& v, const Objects&) {
       return v.is_string() && FindFilter(*v.string()) != nullptr;
     }},
    {"test", 0,
     [](Runtime&, const Object& v, const Objects&) {
       return v.is_string() && IsTest(*v.string());
     }},
    {"==", 1, Eq},
    {"eq", 1, Eq},
    {"equalto", 1, Eq},
    {"!=", 1, Ne},
    {"ne", 1, Ne},
    {"<", 1, Lt},
    {"lt", 1, Lt},
    {"lessthan", 1, Lt},
    {"<=", 1, Le},
    {"le", 1, Le},
    {">", 1, Gt},
    {"gt", 1, Gt},
    {"greaterthan", 1, Gt},
    {">=", 1, Ge},
    {"ge", 1, Ge},
};

const Entry* FindTest(std::string_view name) {
  const auto* found = std::find_if(std::begin(kTests), std::end(kTests),
                                   [&](const Entry& e) { return e.name == name; });
  return found == std::end(kTests) ? nullptr : found;
}

}  // namespace

bool IsTest(std::string_view name) { return FindTest(name) != nullptr; }

std::vector<std::string> TestNames() {
  std::vector<std::string> names;
  for (const Entry& entry : kTests) names.emplace_back(entry.name);
  return names;
}

bool Runtime::ApplyTest(std::string_view name, const Object& value, Arguments arguments) {
  const Entry* entry = FindTest(name);
  if (entry == nullptr) {
    throw EvalError("unknown test '" + std::string(name) + "'" + DidYouMean(name, TestNames()));
  }
  if (arguments.positional.size() != entry->num_arguments || !arguments.named.empty()) {
    throw EvalError("the test '" + std::string(name) + "' takes " +
                    std::to_string(entry->num_arguments) + " argument(s), found " +
                    std::to_string(arguments.positional.size() + arguments.named.size()));
  }
  return entry->test(*this, value, arguments.positional);
}

}  // namespace breakeven::jinja
