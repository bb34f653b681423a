// Pure.
#include "data_pipeline/template/template.h"

#include <algorithm>
#include <set>
#include <utility>

#include "comm/base/error.h"
#include "data_pipeline/template/interpreter.h"
#include "data_pipeline/template/parser.h"

namespace breakeven {
namespace {

using jinja::Body;
using jinja::Expression;
using jinja::ExpressionKind;
using jinja::ExpressionPtr;

// Names read and names set, over the whole template: a name that is set anywhere counts as its own.
struct Names {
  std::set<std::string> read;
  std::set<std::string> set;

  void Read(const ExpressionPtr& expression) {
    if (expression == nullptr) return;
    if (expression->kind == ExpressionKind::kName) read.insert(expression->text);
    for (const ExpressionPtr& child : expression->children) Read(child);
    for (const ExpressionPtr& argument : expression->arguments.positional) Read(argument);
    for (const auto& [name, argument] : expression->arguments.named) Read(argument);
    Read(expression->arguments.star);
    Read(expression->arguments.star_star);
  }
  void Set(const ExpressionPtr& target) {
    if (target == nullptr) return;
    if (target->kind == ExpressionKind::kName) set.insert(target->text);
    for (const ExpressionPtr& child : target->children) Set(child);
  }
  void Walk(const Body& body) {
    for (const auto& statement : body) {
      Set(statement->target);
      Read(statement->value);
      Read(statement->condition);
      for (const auto& [test, branch] : statement->branches) {
        Read(test);
        Walk(branch);
      }
      for (const auto& [target, value] : statement->assignments) {
        Set(target);
        Read(value);
      }
      if (statement->signature != nullptr) {
        set.insert(statement->text);
        set.insert({"caller", "varargs", "kwargs"});
        set.insert(statement->signature->parameters.begin(),
                   statement->signature->parameters.end());
        for (const ExpressionPtr& value : statement->signature->defaults) Read(value);
      }
      if (statement->kind == jinja::StatementKind::kFor) set.insert("loop");
      Walk(statement->body);
      Walk(statement->else_body);
    }
  }
};

}  // namespace

struct Template::Program {
  std::string source;
  std::string name;
  TemplateOptions options;
  Body body;
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
  return jinja::Interpreter(program_->name, program_->options, variables).Run(program_->body);
}

const std::string& Template::source() const { return program_->source; }

std::vector<std::string> Template::FreeNames() const {
  Names names;
  names.Walk(program_->body);
  std::vector<std::string> free;
  for (const std::string& name : names.read) {
    jinja::Object function;
    if (names.set.count(name) == 0 && !jinja::FindFunction(name, program_->options, function)) {
      free.push_back(name);
    }
  }
  return free;
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
