// Pure. Arguments, lookups, and the registry of filters.
#include "data_pipeline/template/runtime.h"

#include <algorithm>
#include <array>

#include "comm/base/suggest.h"
#include "data_pipeline/template/python_text.h"

namespace breakeven::jinja {
namespace {

std::string Quoted(std::string_view name) { return "'" + std::string(name) + "'"; }

// What a dict has instead of the field that is asked for.
std::string KeysOf(const DictObject& dict) {
  constexpr size_t kShown = 20;
  std::string keys;
  for (size_t i = 0; i < dict.size() && i < kShown; ++i) {
    if (i > 0) keys += ", ";
    const std::string* name = dict.items()[i].first.string();
    keys += name != nullptr ? *name : Repr(dict.items()[i].first);
  }
  return dict.size() > kShown ? keys + ", …" : keys;
}

std::string MissingMessage(const Object& object, const Object& key) {
  const std::string* name = key.string();
  const auto* dict = object.get<DictObject>();
  if (dict != nullptr && name != nullptr) {
    std::vector<std::string> known;
    for (const auto& [other, value] : dict->items()) {
      if (other.string() != nullptr) known.push_back(*other.string());
    }
    return "the dict has no " + Quoted(*name) + "; it has: " + KeysOf(*dict) +
           DidYouMean(*name, known);
  }
  if (name != nullptr)
    return "a " + std::string(TypeName(object)) + " has no attribute " + Quoted(*name);
  return "the " + std::string(TypeName(object)) + " has no item " + Repr(key);
}

void Empty(ListObject& list) { list.items.clear(); }
void Empty(DictObject& dict) { dict.Clear(); }
void Empty(NamespaceObject& names) { names.attributes.Clear(); }
void Empty(LoopObject& loop) { loop.changed.reset(); }

// loop.index and the like; false when it has no such field.
bool LoopField(Runtime& runtime, LoopObject& loop, std::string_view name, Object& field) {
  const auto at = [&](int64_t index, const char* missing) {
    if (!loop.Has(index)) return runtime.Undefined([missing] { return std::string(missing); });
    return loop.items[static_cast<size_t>(index)];
  };
  const auto length = [&] { return static_cast<int64_t>(loop.size()); };
  if (name == "index") {
    field = Object(loop.index0 + 1);
  } else if (name == "index0") {
    field = Object(loop.index0);
  } else if (name == "revindex") {
    field = Object(length() - loop.index0);
  } else if (name == "revindex0") {
    field = Object(length() - loop.index0 - 1);
  } else if (name == "first") {
    field = Object(loop.index0 == 0);
  } else if (name == "last") {
    field = Object(!loop.Has(loop.index0 + 1));
  } else if (name == "length") {
    field = Object(length());
  } else if (name == "depth") {
    field = Object(loop.depth0 + 1);
  } else if (name == "depth0") {
    field = Object(loop.depth0);
  } else if (name == "previtem") {
    field = at(loop.index0 - 1, "loop.previtem: there is no previous item");
  } else if (name == "nextitem") {
    field = at(loop.index0 + 1, "loop.nextitem: there is no next item");
  } else {
    return false;
  }
  return true;
}

// Jinja2's filters that make HTML or wrap lines; left out on purpose.
constexpr std::array<std::string_view, 8> kUnsupportedFilters = {
    "filesizeformat", "pprint", "random",   "striptags",
    "urlencode",      "urlize", "wordwrap", "xmlattr"};

}  // namespace

BoundArguments::BoundArguments(std::string_view function,
                               std::span<const std::string_view> parameters, size_t num_required,
                               Arguments arguments)
    : function_(function), parameters_(parameters), values_(parameters.size()) {
  if (arguments.positional.size() > parameters.size()) {
    throw EvalError(std::string(function) + " takes at most " + std::to_string(parameters.size()) +
                    " argument(s), found " + std::to_string(arguments.positional.size()));
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i)
    values_[i] = std::move(arguments.positional[i]);
  for (auto& [name, value] : arguments.named) {
    const auto found = std::find(parameters.begin(), parameters.end(), name);
    if (found == parameters.end()) {
      const std::vector<std::string> known(parameters.begin(), parameters.end());
      throw EvalError(std::string(function) + " has no argument " + Quoted(name) +
                      DidYouMean(name, known));
    }
    std::optional<Object>& place = values_[static_cast<size_t>(found - parameters.begin())];
    if (place.has_value())
      throw EvalError(std::string(function) + " is given the argument " + Quoted(name) + " twice");
    place = std::move(value);
  }
  for (size_t i = 0; i < num_required; ++i) {
    if (!values_[i].has_value()) {
      throw EvalError(std::string(function) + " needs at least " + std::to_string(num_required) +
                      " argument(s)");
    }
  }
}

int64_t BoundArguments::Integer(size_t i, int64_t otherwise) const {
  int64_t integer = 0;
  if (!has(i)) return otherwise;
  if (const auto* undefined = (*this)[i].get<UndefinedObject>())
    throw EvalError(undefined->message());
  if (!ToInteger((*this)[i], integer)) {
    throw EvalError(std::string(function_) + ": expected an integer, found " +
                    std::string(TypeName((*this)[i])));
  }
  return integer;
}

const std::string& BoundArguments::String(size_t i) const {
  if (const auto* undefined = (*this)[i].get<UndefinedObject>())
    throw EvalError(undefined->message());
  if (!(*this)[i].is_string()) {
    throw EvalError(std::string(function_) + ": expected a string, found " +
                    std::string(TypeName((*this)[i])));
  }
  return *(*this)[i].string();
}

Runtime::~Runtime() {
  for (const auto& [identity, changed] : changed_) {
    std::visit(
        [](const auto& container) {
          if (const auto alive = container.lock()) Empty(*alive);
        },
        changed);
  }
}

void Runtime::AboutToHold(const Object& container, const Object& value) {
  if (Identity(value) == nullptr || value.is_string()) return;  // holds nothing
  if (container.get<LoopObject>() == nullptr)
    CheckHoldsNot(value, container);  // a loop has no text
  const void* const identity = Identity(container);
  if (changed_.contains(identity)) return;
  ChargeBytes(128);  // an entry, and the block that a weak pointer keeps of what is gone
  if (container.get<ListObject>() != nullptr) {
    changed_.emplace(identity, std::weak_ptr(container.share<ListObject>()));
  } else if (container.get<DictObject>() != nullptr) {
    changed_.emplace(identity, std::weak_ptr(container.share<DictObject>()));
  } else if (container.get<NamespaceObject>() != nullptr) {
    changed_.emplace(identity, std::weak_ptr(container.share<NamespaceObject>()));
  } else {
    changed_.emplace(identity, std::weak_ptr(container.share<LoopObject>()));
  }
}

Object Runtime::Undefined(std::function<std::string()> message, Objects held) const {
  return Object(std::make_shared<UndefinedObject>(
      UndefinedObject{std::move(message), options_.strict_undefined, std::move(held)}));
}

Object Runtime::ApplyFilter(std::string_view name, Object value, Arguments arguments) {
  const Filter* filter = FindFilter(name);
  if (filter == nullptr) {
    if (IsUnsupportedFilter(name))
      throw EvalError("the filter " + Quoted(name) + " is not supported");
    throw EvalError("unknown filter " + Quoted(name) + DidYouMean(name, FilterNames()));
  }
  if (filter->apply_raw != nullptr)
    return filter->apply_raw(*this, std::move(value), std::move(arguments));
  FilterCall call{
      *this, std::move(value),
      BoundArguments(filter->name, filter->parameters, filter->num_required, std::move(arguments))};
  return filter->apply(call);
}

Object Runtime::GetAttribute(const Object& object, std::string_view name) {
  if (const auto* undefined = object.get<UndefinedObject>()) throw EvalError(undefined->message());
  Object found;
  if (const auto* names = object.get<NamespaceObject>()) {
    const Object* value = names->attributes.FindString(name);
    if (value != nullptr) return *value;
  }
  if (auto* loop = object.get<LoopObject>();
      loop != nullptr && LoopField(*this, *loop, name, found))
    return found;
  if (const auto* tuple = object.get<TupleObject>(); tuple != nullptr && tuple->group) {
    if (name == "grouper") return tuple->items[0];
    if (name == "list") return tuple->items[1];
  }
  bool unsupported = false;
  if (FindMethod(object, name, found, unsupported)) return found;
  if (unsupported) {
    throw EvalError(Quoted(name) + " of a " + std::string(TypeName(object)) +
                    " is not supported in templates" +
                    (object.get<DictObject>() != nullptr
                         ? "; for a field of that name write ['" + std::string(name) + "']"
                         : ""));
  }
  const Object key(name);
  if (FindItem(object, key, found)) return found;
  return Undefined([object, key] { return MissingMessage(object, key); }, {object});
}

Object Runtime::GetItem(const Object& object, const Object& key) {
  if (const auto* undefined = object.get<UndefinedObject>()) throw EvalError(undefined->message());
  if (const auto* undefined = key.get<UndefinedObject>();
      undefined != nullptr && undefined->strict) {
    throw EvalError(undefined->message());
  }
  Object found;
  if (FindItem(object, key, found)) return found;
  if (const std::string* name = key.string()) {
    bool unsupported = false;
    const auto* tuple = object.get<TupleObject>();
    if (object.get<NamespaceObject>() != nullptr || object.get<LoopObject>() != nullptr ||
        (tuple != nullptr && tuple->group) || FindMethod(object, *name, found, unsupported)) {
      return GetAttribute(object, *name);
    }
  }
  return Undefined([object, key] { return MissingMessage(object, key); }, {object});
}

Object Runtime::GetPath(Object object, const Object& path) {
  const std::string* text = path.string();
  if (text == nullptr) return path.is_none() ? object : GetItem(object, path);
  for (size_t begin = 0; begin <= text->size();) {
    const size_t dot = std::min(text->find('.', begin), text->size());
    const std::string part = text->substr(begin, dot - begin);
    const bool number = !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
    const auto index = number ? ParseInteger(part, 10) : std::nullopt;
    object = GetItem(object, index.has_value() ? Object(*index) : Object(part));
    begin = dot + 1;
  }
  return object;
}

void Runtime::FailSteps() const {
  throw EvalError("the template takes more than " + std::to_string(kMaxSteps) +
                  " steps; is a loop without end?");
}

void Runtime::FailBytes() const {
  throw EvalError("the template makes more than " + std::to_string(kMaxTotalBytes) +
                  " bytes of text in all");
}

const Filter* FindFilter(std::string_view name) {
  for (const std::span<const Filter> table : {TextFilters(), SequenceFilters(), ValueFilters()}) {
    for (const Filter& filter : table) {
      if (filter.name == name) return &filter;
    }
  }
  return nullptr;
}

bool IsUnsupportedFilter(std::string_view name) {
  return std::find(kUnsupportedFilters.begin(), kUnsupportedFilters.end(), name) !=
         kUnsupportedFilters.end();
}

std::vector<std::string> FilterNames() {
  std::vector<std::string> names;
  for (const std::span<const Filter> table : {TextFilters(), SequenceFilters(), ValueFilters()}) {
    for (const Filter& filter : table) names.emplace_back(filter.name);
  }
  return names;
}

}  // namespace breakeven::jinja
