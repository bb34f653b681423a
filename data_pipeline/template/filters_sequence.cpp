// Pure. Filters on lists, dicts and other things with items.
#include <algorithm>

#include "data_pipeline/template/runtime.h"
#include "data_pipeline/template/unicode.h"

namespace breakeven::jinja {
namespace {

Object LengthFilter(FilterCall& call) { return Object::Int(Length(call.value)); }
Object ListFilter(FilterCall& call) { return Object::List(Items(call.value)); }

Object First(FilterCall& call) {
  if (auto* iterator = call.value.get<IteratorObject>()) {
    if (iterator->next < iterator->items.size()) return iterator->items[iterator->next++];
  } else if (call.value.is_string() || call.value.get<ListObject>() != nullptr ||
             call.value.range() != nullptr) {
    Object item;
    if (FindItem(call.value, Object(int64_t{0}), item)) return item;
  } else {
    const Objects items = Items(call.value);
    if (!items.empty()) return items.front();
  }
  return call.runtime.Undefined([] { return "first: the sequence is empty"; });
}

Object Last(FilterCall& call) {
  if (call.value.get<IteratorObject>() != nullptr) {
    throw EvalError("last: the result of a filter has no last item before it is a list; add |list");
  }
  const Objects items = Items(call.value);
  if (!items.empty()) return items.back();
  return call.runtime.Undefined([] { return "last: the sequence is empty"; });
}

Object Join(FilterCall& call) {
  const std::string separator = Str(call.arguments.Get(0, Object("")));
  const bool by_path = call.arguments.has(1) && !call.arguments[1].is_none();
  std::string result;
  bool first = true;
  for (const Object& item : Items(call.value)) {
    if (!first) result += separator;
    first = false;
    result += Str(by_path ? call.runtime.GetPath(item, call.arguments[1]) : item);
    CheckBytes(result.size());
  }
  return Object(std::move(result));
}

Object Reverse(FilterCall& call) {
  if (const std::string* text = call.value.string()) {
    std::string reversed;
    for (size_t position = text->size(); position > 0;)
      unicode::Append(reversed, unicode::Previous(*text, position));
    return Object(std::move(reversed));
  }
  Objects items = Items(call.value);
  std::reverse(items.begin(), items.end());
  // Python: an iterator for sequences and dicts, a list for what is itself an iterator.
  return call.value.get<IteratorObject>() != nullptr ? Object::List(std::move(items))
                                                     : Object::Iterator(std::move(items));
}

// Strings compare without case unless asked otherwise.
Object FoldCase(const Object& value, bool case_sensitive) {
  const std::string* text = value.string();
  return text != nullptr && !case_sensitive ? Object(unicode::Lower(*text)) : value;
}

// One key of an item for sort, unique, min, max, groupby.
Object KeyOf(Runtime& runtime, const Object& item, const Object& attribute, bool case_sensitive) {
  return FoldCase(attribute.is_none() ? item : runtime.GetPath(item, attribute), case_sensitive);
}

// Stable in either direction, as sorted() is.
Objects Sorted(std::vector<std::pair<Object, Object>> keyed, bool reverse) {
  std::stable_sort(keyed.begin(), keyed.end(), [reverse](const auto& a, const auto& b) {
    return reverse ? Less(b.first, a.first) : Less(a.first, b.first);
  });
  Objects items;
  items.reserve(keyed.size());
  for (auto& [key, item] : keyed) items.push_back(std::move(item));
  return items;
}

// sort takes several attributes, separated by commas.
Object SortKey(Runtime& runtime, const Object& item, const Object& attribute, bool case_sensitive) {
  const std::string* text = attribute.string();
  Objects keys;
  if (text == nullptr) {
    keys.push_back(KeyOf(runtime, item, attribute, case_sensitive));
    return Object::List(std::move(keys));
  }
  for (size_t begin = 0; begin <= text->size();) {
    const size_t comma = std::min(text->find(',', begin), text->size());
    keys.push_back(
        KeyOf(runtime, item, Object(text->substr(begin, comma - begin)), case_sensitive));
    begin = comma + 1;
  }
  return Object::List(std::move(keys));
}

Object Sort(FilterCall& call) {
  const bool case_sensitive = call.arguments.Flag(1, false);
  const Object attribute = call.arguments.Get(2, Object());
  std::vector<std::pair<Object, Object>> keyed;
  for (const Object& item : Items(call.value)) {
    keyed.emplace_back(SortKey(call.runtime, item, attribute, case_sensitive), item);
  }
  return Object::List(Sorted(std::move(keyed), call.arguments.Flag(0, false)));
}

Object DictSort(FilterCall& call) {
  const auto* dict = call.value.get<DictObject>();
  if (dict == nullptr)
    throw EvalError("dictsort: expected a dict, found " + std::string(TypeName(call.value)));
  const std::string by = call.arguments.has(1) ? call.arguments.String(1) : "key";
  if (by != "key" && by != "value") throw EvalError("dictsort: by is 'key' or 'value'");
  std::vector<std::pair<Object, Object>> keyed;
  for (const auto& [key, value] : dict->items()) {
    keyed.emplace_back(FoldCase(by == "key" ? key : value, call.arguments.Flag(0, false)),
                       Object::Tuple({key, value}));
  }
  return Object::List(Sorted(std::move(keyed), call.arguments.Flag(2, false)));
}

Object Unique(FilterCall& call) {
  DictObject seen;
  Objects items;
  for (const Object& item : Items(call.value)) {
    const Object key =
        KeyOf(call.runtime, item, call.arguments.Get(1, Object()), call.arguments.Flag(0, false));
    if (seen.Find(key) != nullptr) continue;
    seen.Set(key, Object());
    items.push_back(item);
  }
  return Object::Iterator(std::move(items));
}

Object Extreme(FilterCall& call, bool greatest) {
  const Objects items = Items(call.value);
  if (items.empty())
    return call.runtime.Undefined([] { return "min or max: the sequence is empty"; });
  const auto key_of = [&](const Object& item) {
    return KeyOf(call.runtime, item, call.arguments.Get(1, Object()),
                 call.arguments.Flag(0, false));
  };
  Object best = items[0];
  Object best_key = key_of(best);
  for (size_t i = 1; i < items.size(); ++i) {
    const Object key = key_of(items[i]);
    if (greatest ? Less(key, best_key, ">") : Less(key, best_key)) {
      best = items[i];
      best_key = key;
    }
  }
  return best;
}
Object Min(FilterCall& call) { return Extreme(call, false); }
Object Max(FilterCall& call) { return Extreme(call, true); }

Object Sum(FilterCall& call) {
  Object total = call.arguments.Get(1, Object(int64_t{0}));
  if (total.is_string()) throw EvalError("sum: strings are joined with |join");
  const Object attribute = call.arguments.Get(0, Object());
  for (const Object& item : Items(call.value)) {
    total = Add(total, attribute.is_none() ? item : call.runtime.GetPath(item, attribute));
  }
  return total;
}

Object GroupBy(FilterCall& call) {
  const Object attribute = call.arguments[0];
  const bool case_sensitive = call.arguments.Flag(2, false);
  const auto value_of = [&](const Object& item) {
    Object value = call.runtime.GetPath(item, attribute);
    return value.is_undefined() && call.arguments.has(1) && !call.arguments[1].is_none()
               ? call.arguments[1]
               : value;
  };
  std::vector<std::pair<Object, Object>> keyed;
  for (const Object& item : Items(call.value))
    keyed.emplace_back(FoldCase(value_of(item), case_sensitive), item);
  Objects groups;
  Object group_key;
  for (const Object& item : Sorted(std::move(keyed), false)) {
    const Object key = FoldCase(value_of(item), case_sensitive);
    if (groups.empty() || !Equal(key, group_key)) {
      TupleObject group{{value_of(item), Object::List({})}, true};
      groups.emplace_back(std::make_shared<TupleObject>(std::move(group)));
      group_key = key;
    }
    groups.back().get<TupleObject>()->items[1].get<ListObject>()->items.push_back(item);
  }
  return Object::List(std::move(groups));
}

Object Batch(FilterCall& call) {
  const int64_t size = call.arguments.Integer(0, 0);
  Objects batches;
  Objects batch;
  for (const Object& item : Items(call.value)) {
    if (static_cast<int64_t>(batch.size()) == size)
      batches.push_back(Object::List(std::exchange(batch, {})));
    batch.push_back(item);
  }
  if (!batch.empty()) {
    if (call.arguments.has(1) && !call.arguments[1].is_none() &&
        size > static_cast<int64_t>(batch.size())) {
      CheckItems(static_cast<size_t>(size));
      batch.resize(static_cast<size_t>(size), call.arguments[1]);
    }
    batches.push_back(Object::List(std::move(batch)));
  }
  return Object::Iterator(std::move(batches));
}

Object SliceFilter(FilterCall& call) {
  const Objects items = Items(call.value);
  const int64_t num_slices = call.arguments.Integer(0, 0);
  if (num_slices == 0) throw EvalError("slice: the number of slices cannot be 0");
  CheckItems(static_cast<size_t>(std::max<int64_t>(num_slices, 0)));
  const auto length = static_cast<int64_t>(items.size());
  Objects slices;
  int64_t begin = 0;
  for (int64_t i = 0; i < num_slices; ++i) {
    const bool extra = i < length % num_slices;
    const int64_t end = begin + length / num_slices + (extra ? 1 : 0);
    Objects slice(items.begin() + begin, items.begin() + end);
    if (call.arguments.has(1) && !call.arguments[1].is_none() && !extra)
      slice.push_back(call.arguments[1]);
    slices.push_back(Object::List(std::move(slice)));
    begin = end;
  }
  return Object::Iterator(std::move(slices));
}

Object ItemsFilter(FilterCall& call) {
  if (call.value.is_undefined()) return Object::Iterator({});
  const auto* dict = call.value.get<DictObject>();
  if (dict == nullptr)
    throw EvalError("items: expected a dict, found " + std::string(TypeName(call.value)));
  return Object::Iterator(Items(Object(std::make_shared<ViewObject>(
      ViewObject{call.value.share<DictObject>(), ViewObject::What::kItems}))));
}

Object Map(Runtime& runtime, Object value, Arguments arguments) {
  if (!Truthy(value)) return Object::Iterator({});
  Objects results;
  if (arguments.positional.empty() && !arguments.named.empty() &&
      arguments.named[0].first != "attribute" && arguments.named[0].first != "default") {
    throw EvalError("map: unknown argument '" + arguments.named[0].first +
                    "'; expected attribute and default");
  }
  if (arguments.positional.empty()) {
    static constexpr std::string_view kParameters[] = {"attribute", "default"};
    const BoundArguments bound("map", kParameters, 1, std::move(arguments));
    for (const Object& item : Items(value)) {
      Object found = runtime.GetPath(item, bound[0]);
      if (found.is_undefined() && bound.has(1) && !bound[1].is_none()) found = bound[1];
      results.push_back(std::move(found));
      runtime.ChargeStep();
    }
    return Object::Iterator(std::move(results));
  }
  const std::string name = Str(arguments.positional[0]);
  arguments.positional.erase(arguments.positional.begin());
  for (const Object& item : Items(value)) {
    results.push_back(runtime.ApplyFilter(name, item, arguments));
    runtime.ChargeStep();
  }
  return Object::Iterator(std::move(results));
}

// select, reject and their attr forms.
Object Choose(Runtime& runtime, const Object& value, Arguments arguments, bool wanted,
              bool by_path) {
  if (!Truthy(value)) return Object::Iterator({});
  Object path;
  if (by_path) {
    if (arguments.positional.empty())
      throw EvalError("selectattr and rejectattr need the name of an attribute");
    path = arguments.positional[0];
    arguments.positional.erase(arguments.positional.begin());
  }
  std::string test;
  if (!arguments.positional.empty()) {
    test = Str(arguments.positional[0]);
    arguments.positional.erase(arguments.positional.begin());
  }
  Objects chosen;
  for (const Object& item : Items(value)) {
    const Object tested = by_path ? runtime.GetPath(item, path) : item;
    const bool holds = test.empty() ? Truthy(tested) : runtime.ApplyTest(test, tested, arguments);
    if (holds == wanted) chosen.push_back(item);
    runtime.ChargeStep();
  }
  return Object::Iterator(std::move(chosen));
}
Object Select(Runtime& runtime, Object value, Arguments arguments) {
  return Choose(runtime, value, std::move(arguments), true, false);
}
Object Reject(Runtime& runtime, Object value, Arguments arguments) {
  return Choose(runtime, value, std::move(arguments), false, false);
}
Object SelectAttr(Runtime& runtime, Object value, Arguments arguments) {
  return Choose(runtime, value, std::move(arguments), true, true);
}
Object RejectAttr(Runtime& runtime, Object value, Arguments arguments) {
  return Choose(runtime, value, std::move(arguments), false, true);
}

}  // namespace

std::span<const Filter> SequenceFilters() {
  static const std::vector<Filter> kFilters = {
      {"length", LengthFilter, {}},
      {"count", LengthFilter, {}},
      {"list", ListFilter, {}},
      {"first", First, {}},
      {"last", Last, {}},
      {"join", Join, {"d", "attribute"}},
      {"reverse", Reverse, {}},
      {"sort", Sort, {"reverse", "case_sensitive", "attribute"}},
      {"dictsort", DictSort, {"case_sensitive", "by", "reverse"}},
      {"unique", Unique, {"case_sensitive", "attribute"}},
      {"min", Min, {"case_sensitive", "attribute"}},
      {"max", Max, {"case_sensitive", "attribute"}},
      {"sum", Sum, {"attribute", "start"}},
      {"groupby", GroupBy, {"attribute", "default", "case_sensitive"}, 1},
      {"batch", Batch, {"linecount", "fill_with"}, 1},
      {"slice", SliceFilter, {"slices", "fill_with"}, 1},
      {"items", ItemsFilter, {}},
      {"map", nullptr, {}, 0, Map},
      {"select", nullptr, {}, 0, Select},
      {"reject", nullptr, {}, 0, Reject},
      {"selectattr", nullptr, {}, 0, SelectAttr},
      {"rejectattr", nullptr, {}, 0, RejectAttr},
  };
  return kFilters;
}

}  // namespace breakeven::jinja
