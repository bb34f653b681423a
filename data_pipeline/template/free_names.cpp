// Pure.
#include "data_pipeline/template/free_names.h"

#include <algorithm>
#include <set>

#include "data_pipeline/template/runtime.h"

namespace breakeven::jinja {
namespace {

using Names = std::set<std::string, std::less<>>;

// Walks in the order of execution with the names that are set so far.
class Walker {
 public:
  Names Walk(const Body& body) {
    Names defined;
    Visit(body, defined);
    return std::move(free_);
  }

 private:
  void Visit(const Body& body, Names& defined) {
    for (const auto& statement : body) Visit(*statement, defined);
  }

  void VisitInner(const Body& body, Names defined) { Visit(body, defined); }

  void Visit(const Statement& statement, Names& defined) {
    switch (statement.kind) {
      case StatementKind::kIf:
        VisitIf(statement, defined);
        return;
      case StatementKind::kFor:
        VisitFor(statement, defined);
        return;
      case StatementKind::kMacro:
        Define(statement.text, defined);
        VisitMacro(statement, defined);
        return;
      case StatementKind::kCall:
        Visit(statement.value.get(), defined);
        VisitMacro(statement, defined);
        return;
      case StatementKind::kWith: {
        Names inner = defined;
        for (const auto& [target, value] : statement.assignments) {
          Visit(value.get(), defined);
          Define(*target, inner);
        }
        VisitInner(statement.body, std::move(inner));
        return;
      }
      default:
        break;
    }
    VisitInner(statement.body, defined);
    Visit(statement.value.get(), defined);
    if (statement.target != nullptr) Define(*statement.target, defined);
  }

  void VisitIf(const Statement& statement, Names& defined) {
    std::vector<Names> ends;
    for (const auto& [test, body] : statement.branches) {
      Visit(test.get(), defined);
      ends.push_back(defined);
      Visit(body, ends.back());
    }
    ends.push_back(defined);
    Visit(statement.else_body, ends.back());
    for (const std::string& name : ends[0]) {
      if (std::all_of(ends.begin(), ends.end(),
                      [&](const Names& end) { return end.count(name) != 0; }))
        defined.insert(name);
    }
  }

  void VisitFor(const Statement& statement, Names& defined) {
    Visit(statement.value.get(), defined);
    Names inner = defined;
    Define(*statement.target, inner);
    Visit(statement.condition.get(), inner);
    Define("loop", inner);
    VisitInner(statement.body, std::move(inner));
    VisitInner(statement.else_body, defined);
  }

  void VisitMacro(const Statement& statement, const Names& defined) {
    Names inner = defined;
    for (const std::string& parameter : statement.signature->parameters) Define(parameter, inner);
    for (const ExpressionPtr& value : statement.signature->defaults) Visit(value.get(), inner);
    for (const char* given : {"varargs", "kwargs", "caller"}) Define(given, inner);
    VisitInner(statement.body, std::move(inner));
  }

  static void Define(const std::string& name, Names& defined) { defined.insert(name); }
  void Define(const Expression& target, Names& defined) {
    if (target.kind == ExpressionKind::kName) defined.insert(target.text);
    if (target.kind == ExpressionKind::kNamespace && defined.count(target.text) == 0)
      free_.insert(target.text);
    for (const ExpressionPtr& child : target.children) Define(*child, defined);
  }

  void Visit(const Expression* expression, const Names& defined) {
    if (expression == nullptr) return;
    if (expression->kind == ExpressionKind::kName && defined.count(expression->text) == 0)
      free_.insert(expression->text);
    for (const ExpressionPtr& child : expression->children) Visit(child.get(), defined);
    const CallArguments& arguments = expression->arguments;
    for (const ExpressionPtr& value : arguments.positional) Visit(value.get(), defined);
    for (const auto& [name, value] : arguments.named) Visit(value.get(), defined);
    Visit(arguments.star.get(), defined);
    Visit(arguments.star_star.get(), defined);
  }

  Names free_;
};

}  // namespace

std::vector<std::string> FreeNames(const Body& body, const TemplateOptions& options) {
  Names names = Walker().Walk(body);
  for (const std::string& function : FunctionNames(options)) names.erase(function);
  return {names.begin(), names.end()};
}

}  // namespace breakeven::jinja
