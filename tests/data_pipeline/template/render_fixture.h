// Rendering in one line, for tests of templates.
#ifndef BREAKEVEN_TESTS_DATA_PIPELINE_TEMPLATE_RENDER_FIXTURE_H_
#define BREAKEVEN_TESTS_DATA_PIPELINE_TEMPLATE_RENDER_FIXTURE_H_

#include <string>
#include <string_view>

#include "comm/base/error.h"
#include "data_pipeline/template/template.h"

namespace breakeven {

inline Dict Variables(std::string_view json) {
  const Value value = ParseJson(json, "variables");
  return *value.get_if<Dict>();
}

inline std::string Render(std::string_view source, std::string_view json = "{}",
                          const TemplateOptions& options = {}) {
  return Template(source, "t", options).Render(Variables(json));
}

// "65: t: line 1, column 4: …", or the text when nothing went wrong.
inline std::string ErrorOf(std::string_view source, std::string_view json = "{}",
                           const TemplateOptions& options = {}) {
  try {
    return "no error: " + Render(source, json, options);
  } catch (const Error& error) {
    return std::to_string(error.exit_code()) + ": " + error.what();
  }
}

}  // namespace breakeven

#endif  // BREAKEVEN_TESTS_DATA_PIPELINE_TEMPLATE_RENDER_FIXTURE_H_
