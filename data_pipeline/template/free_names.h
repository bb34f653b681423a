// Pure. The names that a template needs from outside.
#ifndef BREAKEVEN_DATA_PIPELINE_TEMPLATE_FREE_NAMES_H_
#define BREAKEVEN_DATA_PIPELINE_TEMPLATE_FREE_NAMES_H_

#include <string>
#include <vector>

#include "data_pipeline/template/ast.h"

namespace breakeven::jinja {

// Sorted; without the global functions. A name that only some branches of an if set still counts as
// needed behind it.
std::vector<std::string> FreeNames(const Body& body, const TemplateOptions& options);

}  // namespace breakeven::jinja

#endif  // BREAKEVEN_DATA_PIPELINE_TEMPLATE_FREE_NAMES_H_
