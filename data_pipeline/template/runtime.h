// Pure. What filters, tests, methods and functions need of the interpreter that runs them, and how
// they are found.
#ifndef BREAKEVEN_DATA_PIPELINE_TEMPLATE_RUNTIME_H_
#define BREAKEVEN_DATA_PIPELINE_TEMPLATE_RUNTIME_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "data_pipeline/template/object.h"
#include "data_pipeline/template/template.h"

namespace breakeven::jinja {

// Arguments sorted into the parameters of a filter, test, method or function.
class BoundArguments {
 public:
  // EvalError when there are too many, too few, unknown or doubled ones. `parameters`: names in
  // order; the first `num_required` have no default.
  BoundArguments(std::string_view function, std::span<const std::string_view> parameters,
                 size_t num_required, Arguments arguments);

  bool has(size_t i) const { return values_[i].has_value(); }
  const Object& operator[](size_t i) const { return *values_[i]; }
  Object Get(size_t i, Object otherwise) const {
    return has(i) ? *values_[i] : std::move(otherwise);
  }
  bool Flag(size_t i, bool otherwise) const { return has(i) ? Truthy(*values_[i]) : otherwise; }
  // EvalError when the argument is given and no integer (or no string).
  int64_t Integer(size_t i, int64_t otherwise) const;
  const std::string& String(size_t i) const;

 private:
  std::string_view function_;
  std::span<const std::string_view> parameters_;
  std::vector<std::optional<Object>> values_;
};

class Runtime {
 public:
  explicit Runtime(const TemplateOptions& options) : options_(options) {}
  ~Runtime();  // empties what AboutToHold remembers
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const TemplateOptions& options() const { return options_; }
  // Sets of work done so far against what one Render may do; EvalError beyond.
  void ChargeStep() {
    if (++steps_ > kMaxSteps) FailSteps();
  }
  void ChargeBytes(size_t bytes) {
    bytes_ += bytes;
    if (bytes_ > kMaxTotalBytes) FailBytes();
  }
  // To be called before `container`, which is older than this step, takes `value`. EvalError for a
  // list, dict or namespace that would show itself. Other rings are allowed (a missing field knows
  // whose field it is, a method its list): only a change can close one, so the changed containers
  // are remembered here, not kept, and emptied at the end: counting references alone would not free
  // them.
  void AboutToHold(const Object& container, const Object& value);
  Object Undefined(std::function<std::string()> message, Objects held = {}) const;

  Object ApplyFilter(std::string_view name, Object value, Arguments arguments);
  bool ApplyTest(std::string_view name, const Object& value, Arguments arguments);
  // Jinja's lookups: attribute first, or item first; undefined when neither is there.
  Object GetAttribute(const Object& object, std::string_view name);
  Object GetItem(const Object& object, const Object& key);
  // "a.b.0": the path of map(attribute=…), sort, groupby …
  Object GetPath(Object object, const Object& path);

 private:
  using ChangedContainer = std::variant<std::weak_ptr<ListObject>, std::weak_ptr<DictObject>,
                                        std::weak_ptr<NamespaceObject>, std::weak_ptr<LoopObject>>;

  static constexpr int64_t kMaxSteps = 20'000'000;
  static constexpr size_t kMaxTotalBytes = size_t{1} << 30;
  [[noreturn]] void FailSteps() const;
  [[noreturn]] void FailBytes() const;

  TemplateOptions options_;
  int64_t steps_ = 0;
  size_t bytes_ = 0;
  std::unordered_map<const void*, ChangedContainer> changed_;
};

struct FilterCall {
  Runtime& runtime;
  Object value;
  BoundArguments arguments;
};

// A row of a table of filters. `variadic` ones (map, select, format) get their arguments raw.
struct Filter {
  std::string_view name;
  Object (*apply)(FilterCall& call);
  std::vector<std::string_view> parameters;
  size_t num_required = 0;
  Object (*apply_raw)(Runtime& runtime, Object value, Arguments arguments) = nullptr;
};

std::span<const Filter> TextFilters();
std::span<const Filter> SequenceFilters();
std::span<const Filter> ValueFilters();
const Filter* FindFilter(std::string_view name);
bool IsTest(std::string_view name);
std::vector<std::string> FilterNames();
std::vector<std::string> TestNames();
// Jinja2's own filters and tags that this engine leaves out, with the reason to say so.
bool IsUnsupportedFilter(std::string_view name);

// The bound method `name` of an object; false when its type has none (then `unsupported` tells
// whether Python has one).
bool FindMethod(const Object& object, std::string_view name, Object& method, bool& unsupported);
std::vector<std::string> MethodNames();  // of all types

// range, namespace, dict, and in chat templates raise_exception and strftime_now; false when there
// is no such function.
bool FindFunction(std::string_view name, const TemplateOptions& options, Object& function);
std::vector<std::string> FunctionNames(const TemplateOptions& options);

// json.dumps.
struct JsonStyle {
  bool ascii = false;
  bool sort_keys = false;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  std::optional<std::string> indent;
};
std::string DumpJson(const Object& object, const JsonStyle& style);

}  // namespace breakeven::jinja

#endif  // BREAKEVEN_DATA_PIPELINE_TEMPLATE_RUNTIME_H_
