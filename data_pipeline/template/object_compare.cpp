// Pure. Truth, equality, order and membership as in Python.
#include <cmath>

#include "data_pipeline/template/object.h"

namespace breakeven::jinja {
namespace {

// Throws when either side is undefined and strict; true when either is undefined.
bool EitherUndefined(const Object& a, const Object& b) {
  for (const Object* side : {&a, &b}) {
    const auto* undefined = side->get<UndefinedObject>();
    if (undefined != nullptr && undefined->strict) throw EvalError(undefined->message());
  }
  return a.is_undefined() || b.is_undefined();
}

bool IsNumber(const Object& object) {
  return object.integer() != nullptr || object.number() != nullptr || object.boolean() != nullptr;
}

// x86-64's long double holds every int64 and every double exactly.
long double Exact(const Object& object) {
  if (const int64_t* integer = object.integer()) return static_cast<long double>(*integer);
  if (const double* number = object.number()) return static_cast<long double>(*number);
  return *object.boolean() ? 1.0L : 0.0L;
}

bool EqualNested(const Object& a, const Object& b, int depth);

bool EqualItems(const Objects& a, const Objects& b, int depth) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!EqualNested(a[i], b[i], depth + 1)) return false;
  }
  return true;
}

bool EqualDicts(const DictObject& a, const DictObject& b, int depth) {
  if (a.size() != b.size()) return false;
  for (const auto& [key, value] : a.items()) {
    const Object* other = b.Find(key);
    if (other == nullptr || !EqualNested(value, *other, depth + 1)) return false;
  }
  return true;
}

bool EqualNested(const Object& a, const Object& b, int depth) {
  if (depth > kMaxNesting) throw EvalError("lists or dicts are nested too deeply to compare");
  if (EitherUndefined(a, b)) return a.is_undefined() && b.is_undefined();
  if (IsNumber(a) && IsNumber(b)) return Exact(a) == Exact(b);
  if (a.storage().index() != b.storage().index()) return false;
  if (const std::string* text = a.string()) return *text == *b.string();
  if (const auto* list = a.get<ListObject>())
    return EqualItems(list->items, b.get<ListObject>()->items, depth);
  if (const auto* tuple = a.get<TupleObject>())
    return EqualItems(tuple->items, b.get<TupleObject>()->items, depth);
  if (const auto* dict = a.get<DictObject>()) return EqualDicts(*dict, *b.get<DictObject>(), depth);
  if (a.range() != nullptr) return EqualItems(Items(a), Items(b), depth);
  if (a.is_none()) return true;
  if (a.get<ViewObject>() != nullptr) {
    throw EvalError("dict views cannot be compared here; turn them into lists with |list first");
  }
  return a.storage() == b.storage();  // identity
}

[[noreturn]] void FailOrder(const Object& a, const Object& b, std::string_view operation) {
  throw EvalError("'" + std::string(operation) + "' has no meaning between " +
                  std::string(TypeName(a)) + " and " + std::string(TypeName(b)));
}

bool LessItems(const Objects& a, const Objects& b, std::string_view operation, bool or_equal) {
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    if (!Equal(a[i], b[i])) return Less(a[i], b[i], operation);
  }
  return or_equal ? a.size() <= b.size() : a.size() < b.size();
}

}  // namespace

bool Truthy(const Object& object) {
  if (const bool* flag = object.boolean()) return *flag;
  if (object.is_none()) return false;
  if (const int64_t* integer = object.integer()) return *integer != 0;
  if (const double* number = object.number()) return *number != 0;
  if (const std::string* text = object.string()) return !text->empty();
  if (const auto* list = object.get<ListObject>()) return !list->items.empty();
  if (const auto* tuple = object.get<TupleObject>()) return !tuple->items.empty();
  if (const auto* dict = object.get<DictObject>()) return dict->size() > 0;
  if (const RangeObject* range = object.range()) return range->size() > 0;
  if (const auto* view = object.get<ViewObject>()) return view->dict->size() > 0;
  if (const auto* undefined = object.get<UndefinedObject>()) {
    if (undefined->strict) throw EvalError(undefined->message());
    return false;
  }
  return true;
}

bool Equal(const Object& a, const Object& b) { return EqualNested(a, b, 0); }

bool Less(const Object& a, const Object& b, std::string_view operation) {
  for (const Object* side : {&a, &b}) {
    if (const auto* undefined = side->get<UndefinedObject>()) throw EvalError(undefined->message());
  }
  // a < b is asked directly; a <= b, a > b and a >= b as well, so that nan compares false each way.
  const bool swapped = operation == ">" || operation == ">=";
  const bool or_equal = operation == "<=" || operation == ">=";
  const Object& left = swapped ? b : a;
  const Object& right = swapped ? a : b;
  if (IsNumber(a) && IsNumber(b)) {
    return or_equal ? Exact(left) <= Exact(right) : Exact(left) < Exact(right);
  }
  if (a.storage().index() != b.storage().index()) FailOrder(a, b, operation);
  if (const std::string* text = left.string()) {  // the order of UTF-8 bytes is that of code points
    return or_equal ? *text <= *right.string() : *text < *right.string();
  }
  const Objects* items[2] = {nullptr, nullptr};
  if (left.get<ListObject>() != nullptr) {
    items[0] = &left.get<ListObject>()->items;
    items[1] = &right.get<ListObject>()->items;
  } else if (left.get<TupleObject>() != nullptr) {
    items[0] = &left.get<TupleObject>()->items;
    items[1] = &right.get<TupleObject>()->items;
  } else {
    FailOrder(a, b, operation);
  }
  return LessItems(*items[0], *items[1], or_equal ? "<=" : "<", or_equal);
}

bool Contains(const Object& container, const Object& item) {
  if (const auto* undefined = container.get<UndefinedObject>()) {
    if (undefined->strict) throw EvalError(undefined->message());
    return false;
  }
  if (const std::string* text = container.string()) {
    const std::string* part = item.string();
    if (const auto* undefined = item.get<UndefinedObject>()) throw EvalError(undefined->message());
    if (part == nullptr) {
      throw EvalError("'in' a string needs a string on its left, found " +
                      std::string(TypeName(item)));
    }
    return text->find(*part) != std::string::npos;
  }
  if (const auto* dict = container.get<DictObject>()) return dict->Find(item) != nullptr;
  if (const auto* view = container.get<ViewObject>();
      view != nullptr && view->what == ViewObject::What::kKeys) {
    return view->dict->Find(item) != nullptr;
  }
  if (const RangeObject* range = container.range()) {
    int64_t integer = 0;
    if (!ToInteger(item, integer)) return false;
    const bool inside = range->step > 0 ? integer >= range->start && integer < range->stop
                                        : integer <= range->start && integer > range->stop;
    return inside && (integer - range->start) % range->step == 0;
  }
  if (!IsIterable(container)) {
    throw EvalError("'in' needs a list, dict or string on its right, found " +
                    std::string(TypeName(container)));
  }
  for (const Object& candidate : Items(container)) {
    if (Equal(candidate, item)) return true;
  }
  return false;
}

bool IsHashable(const Object& object) {
  if (const auto* tuple = object.get<TupleObject>()) {
    for (const Object& item : tuple->items) {
      if (!IsHashable(item)) return false;
    }
    return true;
  }
  return object.get<ListObject>() == nullptr && object.get<DictObject>() == nullptr &&
         object.get<ViewObject>() == nullptr;
}

std::string HashKey(const Object& object) {
  if (const std::string* text = object.string()) return "s" + *text;
  if (const int64_t* integer = object.integer()) return "i" + std::to_string(*integer);
  if (const bool* flag = object.boolean()) return *flag ? "i1" : "i0";
  if (const double* number = object.number()) {
    constexpr double kBeyondInt64 = 9223372036854775808.0;
    const bool whole = std::abs(*number) < kBeyondInt64 && std::floor(*number) == *number;
    return whole ? "i" + std::to_string(static_cast<int64_t>(*number)) : "f" + FloatText(*number);
  }
  if (object.is_none()) return "n";
  if (const auto* tuple = object.get<TupleObject>()) {
    std::string key = "t";
    for (const Object& item : tuple->items) {
      const std::string part = HashKey(item);
      key += std::to_string(part.size()) + ":" + part;
      CheckBytes(key.size());
    }
    return key;
  }
  if (const auto* undefined = object.get<UndefinedObject>()) {
    if (undefined->strict) throw EvalError(undefined->message());
    return "u";
  }
  throw EvalError("a " + std::string(TypeName(object)) + " cannot be a key of a dict");
}

}  // namespace breakeven::jinja
