// Pure.
#include "data_pipeline/template/template.h"

#include "data_pipeline/template/free_names.h"
#include "data_pipeline/template/interpreter.h"
#include "data_pipeline/template/parser.h"

namespace breakeven {

struct Template::Program {
  std::string source;
  std::string name;
  TemplateOptions options;
  jinja::Body body;
};

Template::Template(std::string_view source, std::string_view name, const TemplateOptions& options)
    : program_(std::make_unique<Program>()) {
  program_->source = source;
  program_->name = name;
  program_->options = options;
  program_->body = jinja::ParseTemplate(program_->source, program_->name, options);
}

Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

std::string Template::Render(const Dict& variables) const {
  return jinja::Interpreter(program_->body, program_->name, program_->options, variables).Run();
}

const std::string& Template::source() const { return program_->source; }

std::vector<std::string> Template::FreeNames() const {
  return jinja::FreeNames(program_->body, program_->options);
}

TemplateOptions ChatTemplateOptions() {
  TemplateOptions options;
  options.trim_blocks = true;
  options.lstrip_blocks = true;
  options.keep_trailing_newline = false;
  options.strict_undefined = false;
  options.chat_functions = true;
  return options;
}

}  // namespace breakeven
