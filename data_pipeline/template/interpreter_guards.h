// Pure. What the interpreter enters and must leave again, also when an error passes through.
#ifndef BREAKEVEN_DATA_PIPELINE_TEMPLATE_INTERPRETER_GUARDS_H_
#define BREAKEVEN_DATA_PIPELINE_TEMPLATE_INTERPRETER_GUARDS_H_

#include "data_pipeline/template/interpreter.h"

namespace breakeven::jinja {

// Counts nested statements, expressions and macro calls: an endless recursion is an error, not a
// crash.
class Interpreter::DepthGuard {
 public:
  DepthGuard(Interpreter& interpreter, Position at) : interpreter_(interpreter) {
    constexpr int kDeepest = 1000;
    if (interpreter.depth_ >= kDeepest)
      interpreter.Fail(at, "the template calls itself without end, or nests too deeply");
    ++interpreter.depth_;
  }
  ~DepthGuard() { --interpreter_.depth_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  Interpreter& interpreter_;
};

// A new scope below `parent`.
class Interpreter::ScopeGuard {
 public:
  ScopeGuard(Interpreter& interpreter, std::shared_ptr<const Scope> parent)
      : interpreter_(interpreter), outer_(interpreter.scope_) {
    interpreter.scope_ = std::make_shared<Scope>();
    interpreter.scope_->parent = std::move(parent);
  }
  ~ScopeGuard() { interpreter_.scope_ = outer_; }
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;

 private:
  Interpreter& interpreter_;
  std::shared_ptr<Scope> outer_;
};

}  // namespace breakeven::jinja

#endif  // BREAKEVEN_DATA_PIPELINE_TEMPLATE_INTERPRETER_GUARDS_H_
