// Pure. Runs a parsed template over one document.
#ifndef BREAKEVEN_DATA_PIPELINE_TEMPLATE_INTERPRETER_H_
#define BREAKEVEN_DATA_PIPELINE_TEMPLATE_INTERPRETER_H_

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "data_pipeline/template/ast.h"
#include "data_pipeline/template/runtime.h"

namespace breakeven::jinja {

// The names of one block. A block sees its parents' names and sets only its own: Jinja2's scoping.
struct Scope {
  std::shared_ptr<const Scope> parent;
  std::vector<std::pair<std::string_view, Object>>
      names;  // the views point into the parsed template

  const Object* Find(std::string_view name) const;
  void Set(std::string_view name, Object value);
};

// One Render. All that is handed in must outlive it.
class Interpreter {
 public:
  Interpreter(const Body& body, std::string_view name, const TemplateOptions& options,
              const Dict& variables);
  ~Interpreter();
  std::string Run();  // Error(kBadData) with line and column

 private:
  enum class Flow { kNext, kBreak, kContinue };
  class DepthGuard;
  class ScopeGuard;

  // Statements (interpreter.cpp).
  Flow RunBody(const Body& body);
  Flow RunStatement(const Statement& statement);
  Flow RunIf(const Statement& statement);
  void RunFor(const Statement& statement);
  std::function<bool()> FilteredItems(const Statement& statement, LoopObject* loop);
  void RunSetBlock(const Statement& statement);
  void RunWith(const Statement& statement);
  void RunCall(const Statement& statement);
  std::string Capture(const Body& body);  // in a scope of its own
  void Assign(const Expression& target, Object value);
  Object MakeMacro(const Statement& statement, std::string_view name);
  Object CallMacro(const Statement& statement, const std::shared_ptr<const Scope>& closure,
                   std::string_view name, Arguments arguments);
  void BindMacro(const Statement& statement, std::string_view name, Arguments& arguments);
  void Print(const std::string& text);

  // Expressions (interpreter_expression.cpp).
  Object Eval(const Expression& expression);
  bool Holds(const Expression& expression);  // its truth; errors are placed at the expression
  Object EvalUnguarded(const Expression& expression);
  Object EvalName(const Expression& expression);
  Object EvalUnary(const Expression& expression);
  Object EvalBinary(const Expression& expression);
  Object EvalCompare(const Expression& expression);
  Object EvalDict(const Expression& expression);
  Object EvalCall(const Expression& expression, const Object* caller);
  Object EvalFilter(const Expression& expression);
  Objects EvalAll(const std::vector<ExpressionPtr>& expressions);
  Object EvalOrNone(const ExpressionPtr& expression);
  Arguments EvalArguments(const CallArguments& arguments);
  std::string UndefinedName(std::string_view name) const;
  void Charge(const Object& result);

  [[noreturn]] void Fail(Position at, const std::string& message) const;

  const Body& body_;
  std::string_view name_;
  const Dict& variables_;
  Runtime runtime_;
  std::shared_ptr<Scope> scope_;
  std::unordered_map<std::string_view, Object> fields_;  // of the document, once converted
  std::string* output_ = nullptr;
  std::vector<std::weak_ptr<Scope>> macro_scopes_;
  Object block_text_;  // what a filter over a block starts from
  int depth_ = 0;
};

}  // namespace breakeven::jinja

#endif  // BREAKEVEN_DATA_PIPELINE_TEMPLATE_INTERPRETER_H_
