// Pure. Tables of methods, one for each type.
#ifndef BREAKEVEN_DATA_PIPELINE_TEMPLATE_METHODS_H_
#define BREAKEVEN_DATA_PIPELINE_TEMPLATE_METHODS_H_

#include <span>
#include <string_view>
#include <vector>

#include "data_pipeline/template/runtime.h"

namespace breakeven::jinja {

struct MethodCall {
  Runtime& runtime;
  const Object& self;
  BoundArguments arguments;
};

// Parameters named "" are positional only, as in Python's own types.
struct Method {
  std::string_view name;
  Object (*apply)(MethodCall& call);
  std::vector<std::string_view> parameters;
  size_t num_required = 0;
  bool mutates = false;  // refused in chat templates
  Object (*apply_raw)(Runtime& runtime, const Object& self, Arguments arguments) = nullptr;
};

std::span<const Method> StringMethods();
std::span<const Method> StringPredicates();  // isdigit and its kin
std::span<const Method> ListMethods();
std::span<const Method> TupleMethods();
std::span<const Method> DictMethods();
std::span<const Method> LoopMethods();

}  // namespace breakeven::jinja

#endif  // BREAKEVEN_DATA_PIPELINE_TEMPLATE_METHODS_H_
