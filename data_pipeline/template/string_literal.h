// Pure. The escapes of Python's string literals.
#ifndef BREAKEVEN_DATA_PIPELINE_TEMPLATE_STRING_LITERAL_H_
#define BREAKEVEN_DATA_PIPELINE_TEMPLATE_STRING_LITERAL_H_

#include <string>
#include <string_view>

#include "data_pipeline/template/object.h"

namespace breakeven::jinja {

// What stands between the quotes → the value. Unknown escapes keep their backslash. EvalError for
// broken ones, for lone surrogates and for \N{name}.
std::string UnescapePython(std::string_view literal);

}  // namespace breakeven::jinja

#endif  // BREAKEVEN_DATA_PIPELINE_TEMPLATE_STRING_LITERAL_H_
