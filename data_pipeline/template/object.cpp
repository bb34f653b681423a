// Pure.
#include "data_pipeline/template/object.h"

namespace breakeven::jinja {

int64_t RangeObject::size() const {
  if (step > 0) {
    return start < stop ? static_cast<int64_t>(
                              (static_cast<uint64_t>(stop) - static_cast<uint64_t>(start) - 1) /
                              static_cast<uint64_t>(step)) +
                              1
                        : 0;
  }
  return start > stop ? static_cast<int64_t>(
                            (static_cast<uint64_t>(start) - static_cast<uint64_t>(stop) - 1) /
                            (~static_cast<uint64_t>(step) + 1)) +
                            1
                      : 0;
}

bool LoopObject::Has(int64_t index) {
  while (index >= static_cast<int64_t>(items.size())) {
    if (!pull || !pull()) return false;
  }
  return index >= 0;
}

size_t LoopObject::size() {
  while (pull && pull()) {
  }
  return items.size();
}

const Object* DictObject::Find(const Object& key) const {
  if (const std::string* text = key.string()) return FindString(*text);
  const auto place = index_.find(HashKey(key));
  return place == index_.end() ? nullptr : &items_[place->second].second;
}

const Object* DictObject::FindString(std::string_view key) const {
  if (items_.size() <= 8) {
    for (const auto& [name, value] : items_) {
      if (const std::string* text = name.string(); text != nullptr && *text == key) return &value;
    }
    return nullptr;
  }
  std::string hash_key = "s";
  hash_key += key;
  const auto place = index_.find(hash_key);
  return place == index_.end() ? nullptr : &items_[place->second].second;
}

void DictObject::Set(const Object& key, Object value) {
  const auto [place, is_new] = index_.emplace(HashKey(key), items_.size());
  if (is_new) {
    items_.emplace_back(key, std::move(value));
  } else {
    items_[place->second].second = std::move(value);
  }
}

void DictObject::Clear() {
  items_.clear();
  index_.clear();
}

bool DictObject::Erase(const Object& key) {
  const auto place = index_.find(HashKey(key));
  if (place == index_.end()) return false;
  const size_t erased = place->second;
  index_.erase(place);
  items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(erased));
  for (auto& [hash_key, index] : index_) {
    if (index > erased) --index;
  }
  return true;
}

Object Object::List(Objects items) {
  return Object(std::make_shared<ListObject>(ListObject{std::move(items)}));
}

Object Object::Tuple(Objects items) {
  return Object(std::make_shared<TupleObject>(TupleObject{std::move(items), false}));
}

Object Object::Iterator(Objects items) {
  return Object(std::make_shared<IteratorObject>(IteratorObject{std::move(items), 0}));
}

void CheckBytes(size_t bytes) {
  if (bytes > kMaxBytes) {
    throw EvalError("the template makes a text of " + std::to_string(bytes) + " bytes; at most " +
                    std::to_string(kMaxBytes) + " are allowed");
  }
}

void CheckItems(size_t items) {
  if (items > kMaxItems) {
    throw EvalError("the template makes a list of " + std::to_string(items) + " items; at most " +
                    std::to_string(kMaxItems) + " are allowed");
  }
}

Object FromValue(const Value& value) {
  if (const bool* flag = value.get_if<bool>()) return Object(*flag);
  if (const int64_t* integer = value.get_if<int64_t>()) return Object(*integer);
  if (const double* number = value.get_if<double>()) return Object(*number);
  if (const std::string* text = value.get_if<std::string>()) return Object(*text);
  if (const breakeven::List* list = value.get_if<breakeven::List>()) {
    Objects items;
    items.reserve(list->size());
    for (const Value& item : *list) items.push_back(FromValue(item));
    return Object::List(std::move(items));
  }
  if (const Dict* dict = value.get_if<Dict>()) {
    auto result = std::make_shared<DictObject>();
    for (const auto& [key, item] : dict->items()) result->Set(Object(key), FromValue(item));
    return Object(std::move(result));
  }
  return Object();
}

std::string_view TypeName(const Object& object) {
  constexpr std::string_view kNames[] = {"NoneType", "bool",      "int",  "float",    "str",
                                         "list",     "tuple",     "dict", "range",    "dict view",
                                         "iterator", "namespace", "loop", "function", "undefined"};
  return kNames[object.storage().index()];
}

}  // namespace breakeven::jinja
