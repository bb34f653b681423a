// Pure. Length, iteration, subscripts and slices.
#include <algorithm>
#include <array>
#include <limits>
#include <unordered_set>
#include <utility>

#include "data_pipeline/template/object.h"
#include "data_pipeline/template/unicode.h"

namespace breakeven::jinja {
namespace {

// Looks into everything once, however often it is held. What a method or a missing value keeps alive
// is not shown, and may be the container; it counts for the depth, for it is freed with what holds it.
class HoldsNotChecker {
 public:
  explicit HoldsNotChecker(const void* container) : container_(container) {}

  void Check(const Object& value, int depth) {
    if (depth > kMaxNesting) throw EvalError("lists or dicts are nested too deeply");
    const void* identity = Identity(value);
    if (identity == nullptr || value.is_string()) return;
    if (identity == container_ && !hidden_) FailRing();
    if (!seen_[hidden_].insert(identity).second) return;
    if (const auto* list = value.get<ListObject>()) CheckAll(list->items, depth);
    if (const auto* tuple = value.get<TupleObject>()) CheckAll(tuple->items, depth);
    if (const auto* iterator = value.get<IteratorObject>()) CheckAll(iterator->items, depth);
    if (const auto* dict = value.get<DictObject>()) CheckDict(*dict, depth);
    if (const auto* names = value.get<NamespaceObject>()) CheckDict(names->attributes, depth);
    if (const auto* view = value.get<ViewObject>()) {
      if (view->dict.get() == container_ && !hidden_) FailRing();
      CheckDict(*view->dict, depth);
    }
    if (const auto* callable = value.get<CallableObject>()) CheckHidden(callable->held, depth);
    if (const auto* undefined = value.get<UndefinedObject>()) CheckHidden(undefined->held, depth);
  }

 private:
  [[noreturn]] static void FailRing() { throw EvalError("a list or dict cannot hold itself"); }
  void CheckAll(const Objects& items, int depth) {
    for (const Object& item : items) Check(item, depth + 1);
  }
  void CheckHidden(const Objects& held, int depth) {
    const bool outer = std::exchange(hidden_, true);
    CheckAll(held, depth);
    hidden_ = outer;
  }
  void CheckDict(const DictObject& dict, int depth) {
    for (const auto& [key, item] : dict.items()) Check(item, depth + 1);
  }

  const void* container_;
  bool hidden_ = false;
  std::array<std::unordered_set<const void*>, 2> seen_;  // shown, hidden
};

Objects Characters(const std::string& text) {
  CheckItems(unicode::Length(text));
  Objects items;
  for (size_t position = 0; position < text.size();) {
    const size_t begin = position;
    unicode::Next(text, position);
    items.emplace_back(text.substr(begin, position - begin));
  }
  return items;
}

Objects ViewItems(const ViewObject& view) {
  Objects items;
  items.reserve(view.dict->size());
  for (const auto& [key, value] : view.dict->items()) {
    if (view.what == ViewObject::What::kKeys) {
      items.push_back(key);
    } else if (view.what == ViewObject::What::kValues) {
      items.push_back(value);
    } else {
      items.push_back(Object::Tuple({key, value}));
    }
  }
  return items;
}

Objects RangeItems(const RangeObject& range) {
  const int64_t size = range.size();
  CheckItems(static_cast<size_t>(size));
  Objects items;
  items.reserve(static_cast<size_t>(size));
  for (int64_t i = 0; i < size; ++i) items.emplace_back(range.start + i * range.step);
  return items;
}

// A subscript from the front or, negative, from the back; false when outside.
bool Place(const Object& key, size_t size, size_t& place) {
  int64_t index = 0;
  if (!ToInteger(key, index)) return false;
  if (index < 0) index += static_cast<int64_t>(size);
  if (index < 0 || index >= static_cast<int64_t>(size)) return false;
  place = static_cast<size_t>(index);
  return true;
}

struct SliceBounds {
  int64_t start, stop, step, size;
};

int64_t SliceIndex(const Object& object) {
  int64_t index = 0;
  if (const auto* undefined = object.get<UndefinedObject>()) throw EvalError(undefined->message());
  if (!ToInteger(object, index)) {
    throw EvalError("a slice needs integers or nothing, found " + std::string(TypeName(object)));
  }
  return index;
}

// Python's slice.indices().
SliceBounds Bounds(const Object& start, const Object& stop, const Object& step, size_t size) {
  const auto length = static_cast<int64_t>(size);
  SliceBounds bounds{0, 0, step.is_none() ? 1 : SliceIndex(step), 0};
  if (bounds.step == 0) throw EvalError("the step of a slice cannot be 0");
  bounds.step = std::max(bounds.step, -std::numeric_limits<int64_t>::max());
  const bool forward = bounds.step > 0;
  const int64_t lowest = forward ? 0 : -1;
  const int64_t highest = forward ? length : length - 1;
  const auto place = [&](const Object& object, int64_t otherwise) {
    if (object.is_none()) return otherwise;
    int64_t index = SliceIndex(object);
    if (index < 0) index = std::max(index + length, lowest);
    return std::clamp(index, lowest, highest);
  };
  bounds.start = place(start, forward ? lowest : highest);
  bounds.stop = place(stop, forward ? highest : lowest);
  bounds.size = RangeObject{bounds.start, bounds.stop, bounds.step}.size();
  return bounds;
}

Objects SliceItems(const Objects& items, const SliceBounds& bounds) {
  Objects result;
  result.reserve(static_cast<size_t>(bounds.size));
  for (int64_t i = 0; i < bounds.size; ++i) {
    result.push_back(items[static_cast<size_t>(bounds.start + i * bounds.step)]);
  }
  return result;
}

std::string SliceText(const std::string& text, const SliceBounds& bounds) {
  if (bounds.size == 0) return "";
  if (bounds.step == 1) {
    const size_t begin = unicode::ByteOffset(text, static_cast<size_t>(bounds.start));
    const std::string_view rest = std::string_view(text).substr(begin);
    return std::string(rest.substr(0, unicode::ByteOffset(rest, static_cast<size_t>(bounds.size))));
  }
  std::vector<size_t> starts;
  for (size_t position = 0; position < text.size(); unicode::Next(text, position))
    starts.push_back(position);
  starts.push_back(text.size());
  std::string result;
  for (int64_t i = 0; i < bounds.size; ++i) {
    const auto place = static_cast<size_t>(bounds.start + i * bounds.step);
    result += text.substr(starts[place], starts[place + 1] - starts[place]);
  }
  return result;
}

}  // namespace

const void* Identity(const Object& object) {
  return std::visit(
      [](const auto& value) -> const void* {
        if constexpr (requires { value.get(); }) return value.get();
        return nullptr;
      },
      object.storage());
}

void CheckHoldsNot(const Object& value, const Object& container) {
  HoldsNotChecker(Identity(container)).Check(value, 0);
}

size_t Length(const Object& object) {
  if (const std::string* text = object.string()) return unicode::Length(*text);
  if (const auto* list = object.get<ListObject>()) return list->items.size();
  if (const auto* tuple = object.get<TupleObject>()) return tuple->items.size();
  if (const auto* dict = object.get<DictObject>()) return dict->size();
  if (const RangeObject* range = object.range()) return static_cast<size_t>(range->size());
  if (const auto* view = object.get<ViewObject>()) return view->dict->size();
  if (auto* loop = object.get<LoopObject>()) return loop->size();
  if (const auto* undefined = object.get<UndefinedObject>()) {
    if (undefined->strict) throw EvalError(undefined->message());
    return 0;
  }
  throw EvalError(
      "a " + std::string(TypeName(object)) + " has no length" +
      (object.get<IteratorObject>() != nullptr ? "; turn it into a list with |list first" : ""));
}

bool IsIterable(const Object& object) {
  if (const auto* undefined = object.get<UndefinedObject>();
      undefined != nullptr && undefined->strict) {
    throw EvalError(undefined->message());
  }
  return object.is_string() || object.get<ListObject>() != nullptr ||
         object.get<TupleObject>() != nullptr || object.get<DictObject>() != nullptr ||
         object.range() != nullptr || object.get<ViewObject>() != nullptr ||
         object.get<IteratorObject>() != nullptr || object.is_undefined();
}

Objects Items(const Object& object) {
  if (const auto* list = object.get<ListObject>()) return list->items;
  if (const auto* tuple = object.get<TupleObject>()) return tuple->items;
  if (const std::string* text = object.string()) return Characters(*text);
  if (const auto* view = object.get<ViewObject>()) return ViewItems(*view);
  if (const RangeObject* range = object.range()) return RangeItems(*range);
  if (object.get<DictObject>() != nullptr) {
    return ViewItems(ViewObject{object.share<DictObject>(), ViewObject::What::kKeys});
  }
  if (auto* iterator = object.get<IteratorObject>()) {
    Objects rest(iterator->items.begin() + static_cast<std::ptrdiff_t>(iterator->next),
                 iterator->items.end());
    iterator->next = iterator->items.size();
    return rest;
  }
  if (IsIterable(object)) return {};  // undefined
  throw EvalError("a " + std::string(TypeName(object)) + " cannot be looped over");
}

Object Slice(const Object& object, const Object& start, const Object& stop, const Object& step) {
  if (const std::string* text = object.string()) {
    return Object(SliceText(*text, Bounds(start, stop, step, unicode::Length(*text))));
  }
  if (const auto* list = object.get<ListObject>()) {
    return Object::List(SliceItems(list->items, Bounds(start, stop, step, list->items.size())));
  }
  if (const auto* tuple = object.get<TupleObject>()) {
    return Object::Tuple(SliceItems(tuple->items, Bounds(start, stop, step, tuple->items.size())));
  }
  if (const RangeObject* range = object.range()) {
    const SliceBounds bounds = Bounds(start, stop, step, static_cast<size_t>(range->size()));
    return Object(RangeObject{range->start + bounds.start * range->step,
                              range->start + bounds.stop * range->step, range->step * bounds.step});
  }
  if (const auto* undefined = object.get<UndefinedObject>()) throw EvalError(undefined->message());
  throw EvalError("a " + std::string(TypeName(object)) + " cannot be sliced");
}

bool FindItem(const Object& object, const Object& key, Object& item) {
  size_t place = 0;
  if (const auto* dict = object.get<DictObject>()) {
    if (!IsHashable(key)) return false;
    const Object* found = dict->Find(key);
    if (found == nullptr) return false;
    item = *found;
    return true;
  }
  if (const auto* list = object.get<ListObject>()) {
    if (!Place(key, list->items.size(), place)) return false;
    item = list->items[place];
    return true;
  }
  if (const auto* tuple = object.get<TupleObject>()) {
    if (!Place(key, tuple->items.size(), place)) return false;
    item = tuple->items[place];
    return true;
  }
  if (const std::string* text = object.string()) {
    if (!Place(key, unicode::Length(*text), place)) return false;
    const size_t begin = unicode::ByteOffset(*text, place);
    size_t end = begin;
    unicode::Next(*text, end);
    item = Object(text->substr(begin, end - begin));
    return true;
  }
  if (const RangeObject* range = object.range()) {
    if (!Place(key, static_cast<size_t>(range->size()), place)) return false;
    item = Object(range->start + static_cast<int64_t>(place) * range->step);
    return true;
  }
  return false;
}

}  // namespace breakeven::jinja
