// Pure. Runs a parsed template.
#ifndef BREAKEVEN_DATA_PIPELINE_TEMPLATE_INTERPRETER_H_
#define BREAKEVEN_DATA_PIPELINE_TEMPLATE_INTERPRETER_H_

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "data_pipeline/template/ast.h"
#include "data_pipeline/template/runtime.h"

namespace breakeven::jinja {

// Variables of one block. `if` opens none; for, with, macro and call do.
struct Scope {
  std::unordered_map<std::string, Object> variables;
  std::shared_ptr<Scope> parent;
};

// One rendering. Throws Error(kBadData) with the template's name, line and column.
class Interpreter {
 public:
  Interpreter(std::string_view name, const TemplateOptions& options, const Dict& variables);
  std::string Run(const Body& body);

 private:
  enum class Flow { kNext, kBreak, kContinue };

  // --- statements (interpreter.cpp) ---
  Flow Execute(const Body& body);
  Flow ExecuteOne(const Statement& statement);
  Flow ExecuteIf(const Statement& statement);
  Flow ExecuteFor(const Statement& statement);
  void ExecuteCall(const Statement& statement);
  Object MakeMacro(const Statement& statement, const std::string& name);
  Object CallMacro(const Statement& statement, const std::string& name,
                   const std::shared_ptr<Scope>& closure, Arguments arguments);
  void Assign(const Expression& target, Object value);
  std::string Capture(const Body& body);  // in a scope of its own
  void Write(const Object& value);

  // --- expressions (interpreter_expression.cpp) ---
  Object Evaluate(const Expression& expression);
  Object EvaluateUnlocated(const Expression& expression);
  Object EvaluateBinary(const Expression& expression);
  Object EvaluateUnary(const Expression& expression);
  bool EvaluateCompare(const Expression& expression);
  Object EvaluateSlice(const Expression& expression);
  Object EvaluateCall(const Expression& expression, const Object* caller);
  Object Lookup(const std::string& name);
  Arguments EvaluateArguments(const CallArguments& arguments);
  Objects EvaluateAll(const std::vector<ExpressionPtr>& expressions);

  std::string_view name_;
  Runtime runtime_;
  const Dict& globals_;
  std::shared_ptr<Scope> scope_;
  std::string* output_ = nullptr;
  Object block_text_;  // what a filter block or set block filters
  int macro_depth_ = 0;
  int loop_depth_ = 0;
};

}  // namespace breakeven::jinja

#endif  // BREAKEVEN_DATA_PIPELINE_TEMPLATE_INTERPRETER_H_
