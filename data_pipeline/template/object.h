// Pure. Values inside a running template: Python's, as far as templates can see them. Lists and
// dicts have identity (two names may share one), which document Values have not.
#ifndef BREAKEVEN_DATA_PIPELINE_TEMPLATE_OBJECT_H_
#define BREAKEVEN_DATA_PIPELINE_TEMPLATE_OBJECT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "data_pipeline/template/value.h"

namespace breakeven::jinja {

// What goes wrong while a template runs, without a place; the interpreter adds line and column.
class EvalError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Object;
using Objects = std::vector<Object>;

// The answer for a name or key that is not there. Strict: every use but a test for it is an error.
struct UndefinedObject {
  std::function<std::string()> message;
  bool strict = false;
  Objects held;  // what the message keeps alive
};

struct ListObject {
  Objects items;
};
struct TupleObject {
  Objects items;
  bool group = false;  // of the groupby filter: also has .grouper and .list
};

// Keys in order of insertion; equal numbers of different types are one key, as in Python.
class DictObject {
 public:
  const Object* Find(const Object& key) const;  // EvalError when the key cannot be hashed
  const Object* FindString(std::string_view key) const;
  void Set(const Object& key, Object value);
  bool Erase(const Object& key);
  void Clear();
  const std::vector<std::pair<Object, Object>>& items() const { return items_; }
  size_t size() const;

 private:
  std::vector<std::pair<Object, Object>> items_;
  std::unordered_map<std::string, size_t> index_;  // HashKey → place
};

struct RangeObject {
  int64_t start = 0, stop = 0, step = 1;
  int64_t size() const;
  bool operator==(const RangeObject&) const = default;
};
// dict.keys(), .values(), .items(): follow the dict.
struct ViewObject {
  enum class What { kKeys, kValues, kItems };
  std::shared_ptr<DictObject> dict;
  What what = What::kKeys;
};
// A generator (map, select, …): each item is given out once. Its items are made at once, not on
// demand.
struct IteratorObject {
  Objects items;
  size_t next = 0;
};
struct NamespaceObject {
  DictObject attributes;
};
// The variable `loop`. With a filtered for, items are found on demand: `pull` adds the next one,
// false when there is none.
struct LoopObject {
  Objects items;
  std::function<bool()> pull;
  int64_t index0 = 0;
  int64_t depth0 = 0;
  std::shared_ptr<Objects> changed;  // arguments of the last loop.changed()

  bool Has(int64_t index);  // pulls as far as needed
  size_t size();            // pulls all
};

struct Arguments {
  Objects positional;
  std::vector<std::pair<std::string, Object>> named;
};
class Runtime;
// A macro, a bound method or a global function.
struct CallableObject {
  std::string name;
  std::function<Object(Runtime&, Arguments)> call;
  Objects held;  // what a bound method keeps alive
};

class Object {
 public:
  using String = std::shared_ptr<const std::string>;
  using Storage =
      std::variant<std::monostate, bool, int64_t, double, String, std::shared_ptr<ListObject>,
                   std::shared_ptr<TupleObject>, std::shared_ptr<DictObject>, RangeObject,
                   std::shared_ptr<ViewObject>, std::shared_ptr<IteratorObject>,
                   std::shared_ptr<NamespaceObject>, std::shared_ptr<LoopObject>,
                   std::shared_ptr<CallableObject>, std::shared_ptr<UndefinedObject>>;

  Object() = default;  // None
  Object(bool value) : storage_(value) {}
  Object(int64_t value) : storage_(value) {}
  Object(double value) : storage_(value) {}
  Object(std::string value) : storage_(std::make_shared<const std::string>(std::move(value))) {}
  Object(std::string_view value) : Object(std::string(value)) {}
  Object(const char* value) : Object(std::string(value)) {}
  Object(RangeObject value) : storage_(value) {}
  template <typename T>
  Object(std::shared_ptr<T> value) : storage_(std::move(value)) {}

  static Object List(Objects items);
  static Object Tuple(Objects items);
  static Object Iterator(Objects items);
  // A size as Python's int.
  static Object Int(size_t value) { return Object(static_cast<int64_t>(value)); }

  bool is_none() const { return std::holds_alternative<std::monostate>(storage_); }
  bool is_undefined() const {
    return std::holds_alternative<std::shared_ptr<UndefinedObject>>(storage_);
  }
  bool is_string() const { return std::holds_alternative<String>(storage_); }
  // nullptr when the object is of another type.
  const bool* boolean() const { return std::get_if<bool>(&storage_); }
  const int64_t* integer() const { return std::get_if<int64_t>(&storage_); }
  const double* number() const { return std::get_if<double>(&storage_); }
  const RangeObject* range() const { return std::get_if<RangeObject>(&storage_); }
  const std::string* string() const {
    const String* text = std::get_if<String>(&storage_);
    return text == nullptr ? nullptr : text->get();
  }
  template <typename T>
  T* get() const {
    const std::shared_ptr<T>* pointer = std::get_if<std::shared_ptr<T>>(&storage_);
    return pointer == nullptr ? nullptr : pointer->get();
  }
  template <typename T>
  std::shared_ptr<T> share() const {
    return std::get<std::shared_ptr<T>>(storage_);
  }
  const Storage& storage() const { return storage_; }

 private:
  Storage storage_;
};

// Here, where a pair of Objects has a size.
inline size_t DictObject::size() const { return items_.size(); }

// Nothing that a template makes in one step may be larger: a prompt is never this long.
inline constexpr size_t kMaxBytes = size_t{64} << 20;
inline constexpr size_t kMaxItems = size_t{1} << 20;
inline constexpr int kMaxNesting = 100;  // of lists in lists
void CheckBytes(size_t bytes);           // EvalError beyond
void CheckItems(size_t items);

Object FromValue(const Value& value);
std::string_view TypeName(const Object& object);  // Python's: "str", "int", "NoneType", "dict", …

// --- text (object_text.cpp) ---
std::string Str(const Object& object);   // str(x)
std::string Repr(const Object& object);  // repr(x)
std::string ReprString(std::string_view text);

// --- comparison (object_compare.cpp) ---
bool Truthy(const Object& object);
bool Equal(const Object& a, const Object& b);
// <0, 0, >0; EvalError naming `operation` when Python has no order between the two.
bool Less(const Object& a, const Object& b, std::string_view operation = "<");
bool Contains(const Object& container, const Object& item);
// One string for each class of equal keys. EvalError for lists and dicts.
std::string HashKey(const Object& object);
bool IsHashable(const Object& object);

// --- items (object_items.cpp) ---
// What tells one list (dict, …) from another with the same content; nullptr for None and numbers.
const void* Identity(const Object& object);
// EvalError when `value` is or shows `container` (a list, dict or namespace): the text of a ring has
// no end, and no prompt needs one.
void CheckHoldsNot(const Object& value, const Object& container);
// len(x); EvalError where Python has none.
size_t Length(const Object& object);
// All items, as a for loop sees them; takes what an iterator has left. EvalError when not iterable.
Objects Items(const Object& object);
// Whether iter(x) works.
bool IsIterable(const Object& object);
// x[start:stop:step]; None = left out.
Object Slice(const Object& object, const Object& start, const Object& stop, const Object& step);
// x[key] for sequences and dicts; false when there is no such item.
bool FindItem(const Object& object, const Object& key, Object& item);

// --- arithmetic (arithmetic.cpp) ---
Object Add(const Object& a, const Object& b);
Object Subtract(const Object& a, const Object& b);
Object Multiply(const Object& a, const Object& b);
Object Divide(const Object& a, const Object& b);
Object FloorDivide(const Object& a, const Object& b);
Object Modulo(const Object& a, const Object& b);  // of a string: printf-style formatting
Object Power(const Object& a, const Object& b);
Object Negate(const Object& a);
Object Positive(const Object& a);
// Numbers and booleans as float; false for others.
bool ToDouble(const Object& object, double& number);
// Integers and booleans; false for others.
bool ToInteger(const Object& object, int64_t& integer);

}  // namespace breakeven::jinja

#endif  // BREAKEVEN_DATA_PIPELINE_TEMPLATE_OBJECT_H_
