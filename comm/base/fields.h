// Pure. The VisitFields protocol: a config struct lists its fields once, and YAML reading, --set, --print-config, the
// option table and the config hash are visitors over that list.
//
//   struct ScheduleConfig {
//     std::string kind = "cosine";
//     int64_t warmup_steps = 0;
//     void VisitFields(FieldVisitor& v) {
//       v.Visit({"kind", "shape of the decay after warm-up", OneOf({"constant", "linear", "cosine"})}, kind);
//       v.Visit({"warmup_steps", "linear warm-up", AtLeast(0)}, warmup_steps);
//     }
//   };
//
// A field's default is the member's initial value. A visitor may read or write what it is handed; it checks `limits`
// itself when it writes. Cross-field rules live in `void Validate() const` of the struct that owns the fields, which
// throws Error(kUsage) naming the key.
#ifndef BREAKEVEN_COMM_BASE_FIELDS_H_
#define BREAKEVEN_COMM_BASE_FIELDS_H_

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace breakeven {

// What a value may be. Numbers: the closed range [min, max] (with open_min: min itself is out). Strings: `choices`,
// empty = any. In a list the limits hold for each element.
struct FieldLimits {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool open_min = false;
  std::vector<std::string_view> choices;
  bool required = false;         // the user must give it: there is no honest default
  std::string_view remedy = {};  // of a number: what to write instead, behind what is expected
};

inline FieldLimits Any() { return {}; }
inline FieldLimits Required() {
  FieldLimits limits;
  limits.required = true;
  return limits;
}
inline FieldLimits Between(double min, double max) {
  FieldLimits limits;
  limits.min = min;
  limits.max = max;
  return limits;
}
inline FieldLimits AtLeast(double min) {
  FieldLimits limits;
  limits.min = min;
  return limits;
}
inline FieldLimits Above(double min) {
  FieldLimits limits = AtLeast(min);
  limits.open_min = true;
  return limits;
}
// Seconds that something is waited for. Three years are as good as for ever, and no clock overflows when they are added to now.
inline constexpr double kMostSeconds = 1e8;
inline FieldLimits SecondsToWait() {
  FieldLimits limits = Between(0, kMostSeconds);
  limits.open_min = true;
  limits.remedy = "write 1e8 to wait for as long as it takes";
  return limits;
}
inline FieldLimits SecondsOrNoLimit() {
  FieldLimits limits = Between(0, kMostSeconds);
  limits.remedy = "write 0 for no limit";
  return limits;
}
inline FieldLimits OneOf(std::vector<std::string_view> choices) {
  FieldLimits limits;
  limits.choices = std::move(choices);
  return limits;
}

struct FieldInfo {
  std::string_view name;
  std::string_view help;  // one line, with the unit
  FieldLimits limits = {};
  bool hashed =
      true;  // false: thread counts, paths, names: what must not change a config's fingerprint
};

class FieldVisitor;

template <typename T>
concept FieldStruct = requires(T& value, FieldVisitor& visitor) {
  value.VisitFields(visitor);
};

// Scalars and string lists are virtual; structs, optionals, lists and maps of structs are taken apart here, so that a
// visitor sees only scalars between Begin/End calls. A writing visitor answers how many elements it has for a list.
class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;

  void Visit(const FieldInfo& info, bool& value) { Scalar(info, value); }
  void Visit(const FieldInfo& info, int64_t& value) { Scalar(info, value); }
  void Visit(const FieldInfo& info, double& value) { Scalar(info, value); }
  void Visit(const FieldInfo& info, std::string& value) { Scalar(info, value); }

  template <FieldStruct T>
  void Visit(const FieldInfo& info, T& value) {
    if (!BeginStruct(info)) return;
    value.VisitFields(*this);
    EndStruct(info);
  }

  // An absent optional prints as null. A reading visitor says by HasValue whether the value is there to visit.
  template <typename T>
  void Visit(const FieldInfo& info, std::optional<T>& value) {
    if (!HasValue(info, value.has_value())) {
      value.reset();
      return;
    }
    if (!value.has_value()) value.emplace();
    Visit(info, *value);
  }

  template <typename T>
  void Visit(const FieldInfo& info, std::vector<T>& values) {
    const std::optional<size_t> wanted = BeginList(info, values.size(), !FieldStruct<T>);
    if (!wanted.has_value()) return;
    values.resize(*wanted);
    for (size_t i = 0; i < values.size(); ++i) {
      const std::string index = std::to_string(i);
      FieldInfo element = info;
      element.name = index;
      element.limits.required = false;
      if constexpr (std::is_same_v<T, bool>) {
        bool copy = values[i];
        Visit(element, copy);
        values[i] = copy;
      } else {
        Visit(element, values[i]);
      }
    }
    EndList(info);
  }

  // Keys are the user's own words (variant names, template fields), kept in order of the key.
  template <typename T>
  void Visit(const FieldInfo& info, std::map<std::string, T>& values) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : values) keys.push_back(key);
    const std::optional<std::vector<std::string>> wanted = BeginMap(info, keys);
    if (!wanted.has_value()) return;
    std::map<std::string, T> result;
    for (const std::string& key : *wanted) {
      T element = values.count(key) != 0 ? values.at(key) : T{};
      FieldInfo element_info = info;
      element_info.name = key;
      element_info.limits.required = false;
      Visit(element_info, element);
      result.emplace(key, std::move(element));
    }
    values = std::move(result);
    EndMap(info);
  }

 protected:
  virtual void Scalar(const FieldInfo& info, bool& value) = 0;
  virtual void Scalar(const FieldInfo& info, int64_t& value) = 0;
  virtual void Scalar(const FieldInfo& info, double& value) = 0;
  virtual void Scalar(const FieldInfo& info, std::string& value) = 0;

  // false: skip the struct (a reading visitor that has nothing for it; required fields inside are then not asked for).
  virtual bool BeginStruct(const FieldInfo& info) = 0;
  virtual void EndStruct(const FieldInfo& info) = 0;
  virtual bool HasValue(const FieldInfo& info, bool has_value) = 0;
  // Returns the number of elements to visit; nullopt: leave the list as it is.
  virtual std::optional<size_t> BeginList(const FieldInfo& info, size_t size, bool scalars) = 0;
  virtual void EndList(const FieldInfo& info) = 0;
  virtual std::optional<std::vector<std::string>> BeginMap(
      const FieldInfo& info, const std::vector<std::string>& keys) = 0;
  virtual void EndMap(const FieldInfo& info) = 0;
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BASE_FIELDS_H_
