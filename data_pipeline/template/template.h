// Pure. A strict subset of Jinja2: enough for lm-evaluation-harness's doc_to_* lines and for
// chat_template.jinja of model folders. tests/parity/ runs Python's jinja2 beside it. The language
// is described in README.md of this folder.
#ifndef BREAKEVEN_DATA_PIPELINE_TEMPLATE_TEMPLATE_H_
#define BREAKEVEN_DATA_PIPELINE_TEMPLATE_TEMPLATE_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data_pipeline/template/value.h"

namespace breakeven {

struct TemplateOptions {
  // Jinja2's Environment flags. Task files: all false but keep_trailing_newline
  // (lm-evaluation-harness); chat templates: trim_blocks and lstrip_blocks true,
  // keep_trailing_newline false (transformers).
  bool trim_blocks = false;
  bool lstrip_blocks = false;
  bool keep_trailing_newline = true;
  // Undefined names are errors with a suggestion. Chat templates set it false: `{% if tools %}` on
  // what is not given.
  bool strict_undefined = true;
  // transformers' environment for chat templates: raise_exception and strftime_now exist, tojson
  // escapes nothing and keeps the order of keys, nothing may change a list or dict.
  bool chat_functions = false;
};

// Parsed once, rendered any number of times from any thread.
class Template {
 public:
  // `name` is how messages call it ("variants.yaml: doc_to_text"). Error(kUsage) with line and
  // column of the source for a syntax error or an unknown filter, test, method or tag, with the
  // nearest known name.
  Template(std::string_view source, std::string_view name, const TemplateOptions& options = {});
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  Template(const Template&) = delete;
  Template& operator=(const Template&) = delete;

  // Error(kBadData) for what depends on the document: an undefined field (with the names there
  // are), a type that an operation does not take, raise_exception(). Messages have line and column.
  std::string Render(const Dict& variables) const;
  const std::string& source() const;
  // Names that the template reads and does not define itself, sorted: the fields it needs.
  std::vector<std::string> FreeNames() const;

 private:
  struct Program;
  std::unique_ptr<Program> program_;
};

TemplateOptions ChatTemplateOptions();

// Python's ast.literal_eval for lists, strings, numbers, True/False/None: how lm-evaluation-harness
// reads a rendered doc_to_choice. Error(kBadData) naming `where`.
Value ParsePythonLiteral(std::string_view text, std::string_view where);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_TEMPLATE_TEMPLATE_H_
