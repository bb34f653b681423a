// Pure. Statements.
#include "data_pipeline/template/interpreter.h"

#include <algorithm>
#include <utility>

#include "comm/base/error.h"

namespace breakeven::jinja {
namespace {

constexpr int kMaxMacroDepth = 100;

// Sets a member back when a block ends, also by an exception.
template <typename T>
class Restore {
 public:
  explicit Restore(T& member) : member_(member), saved_(member) {}
  ~Restore() { member_ = std::move(saved_); }
  Restore(const Restore&) = delete;
  Restore& operator=(const Restore&) = delete;

 private:
  T& member_;
  T saved_;
};

std::shared_ptr<Scope> NewScope(std::shared_ptr<Scope> parent) {
  auto scope = std::make_shared<Scope>();
  scope->parent = std::move(parent);
  return scope;
}

}  // namespace

Interpreter::Interpreter(std::string_view name, const TemplateOptions& options,
                         const Dict& variables)
    : name_(name), runtime_(options), globals_(variables), scope_(NewScope(nullptr)) {}

std::string Interpreter::Run(const Body& body) {
  std::string text;
  output_ = &text;
  Execute(body);
  // Macros keep the scope that holds them: without this the ring would never be freed.
  scope_->variables.clear();
  return text;
}

Interpreter::Flow Interpreter::Execute(const Body& body) {
  for (const auto& statement : body) {
    const Flow flow = ExecuteOne(*statement);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::ExecuteOne(const Statement& statement) {
  try {
    runtime_.ChargeStep();
    switch (statement.kind) {
      case StatementKind::kData:
        runtime_.ChargeBytes(statement.text.size());
        *output_ += statement.text;
        break;
      case StatementKind::kOutput:
        Write(Evaluate(*statement.value));
        break;
      case StatementKind::kIf:
        return ExecuteIf(statement);
      case StatementKind::kFor:
        return ExecuteFor(statement);
      case StatementKind::kSet:
        Assign(*statement.target, Evaluate(*statement.value));
        break;
      case StatementKind::kSetBlock: {
        Object text(Capture(statement.body));
        if (statement.value != nullptr) {
          const Restore keep(block_text_);
          block_text_ = std::move(text);
          text = Evaluate(*statement.value);
        }
        Assign(*statement.target, std::move(text));
        break;
      }
      case StatementKind::kMacro:
        scope_->variables[statement.text] = MakeMacro(statement, statement.text);
        break;
      case StatementKind::kCall:
        ExecuteCall(statement);
        break;
      case StatementKind::kFilter: {
        const Restore keep(block_text_);
        block_text_ = Object(Capture(statement.body));
        Write(Evaluate(*statement.value));
        break;
      }
      case StatementKind::kWith: {
        std::vector<Object> values;
        for (const auto& [target, value] : statement.assignments) {
          values.push_back(Evaluate(*value));
        }
        const Restore keep(scope_);
        scope_ = NewScope(scope_);
        for (size_t i = 0; i < values.size(); ++i) {
          Assign(*statement.assignments[i].first, std::move(values[i]));
        }
        return Execute(statement.body);
      }
      case StatementKind::kScope: {
        const Restore keep(scope_);
        scope_ = NewScope(scope_);
        return Execute(statement.body);
      }
      case StatementKind::kBreak:
        return Flow::kBreak;
      case StatementKind::kContinue:
        return Flow::kContinue;
    }
    return Flow::kNext;
  } catch (const EvalError& error) {
    throw Error(ErrorKind::kBadData,
                std::string(name_) + ": " + PositionText(statement.at) + ": " + error.what());
  }
}

Interpreter::Flow Interpreter::ExecuteIf(const Statement& statement) {
  for (const auto& [test, body] : statement.branches) {
    if (Truthy(Evaluate(*test))) return Execute(body);
  }
  return Execute(statement.else_body);
}

Interpreter::Flow Interpreter::ExecuteFor(const Statement& statement) {
  const Restore keep_scope(scope_);
  const Restore keep_depth(loop_depth_);
  const std::shared_ptr<Scope> outer = scope_;
  auto items = std::make_shared<Objects>(Items(Evaluate(*statement.value)));
  if (statement.condition != nullptr) {
    Objects kept;
    for (Object& item : *items) {
      runtime_.ChargeStep();
      scope_ = NewScope(outer);
      Assign(*statement.target, item);
      if (Truthy(Evaluate(*statement.condition))) kept.push_back(std::move(item));
    }
    *items = std::move(kept);
  }
  if (items->empty()) {
    scope_ = NewScope(outer);
    return Execute(statement.else_body);
  }
  auto loop = std::make_shared<LoopObject>();
  loop->items = items;
  loop->depth0 = loop_depth_++;
  for (size_t i = 0; i < items->size(); ++i) {
    scope_ = NewScope(outer);
    loop->index0 = static_cast<int64_t>(i);
    scope_->variables["loop"] = Object(loop);
    Assign(*statement.target, (*items)[i]);
    if (Execute(statement.body) == Flow::kBreak) break;
  }
  return Flow::kNext;
}

void Interpreter::ExecuteCall(const Statement& statement) {
  const Object caller = MakeMacro(statement, "caller");
  Write(EvaluateCall(*statement.value, &caller));
}

Object Interpreter::MakeMacro(const Statement& statement, const std::string& name) {
  auto callable = std::make_shared<CallableObject>();
  callable->name = name;
  callable->call = [this, &statement, name, closure = scope_](Runtime&, Arguments arguments) {
    return CallMacro(statement, name, closure, std::move(arguments));
  };
  return Object(std::move(callable));
}

Object Interpreter::CallMacro(const Statement& statement, const std::string& name,
                              const std::shared_ptr<Scope>& closure, Arguments arguments) {
  if (macro_depth_ >= kMaxMacroDepth) {
    throw EvalError("macros call each other more than " + std::to_string(kMaxMacroDepth) + " deep");
  }
  const Restore keep_depth(macro_depth_);
  const Restore keep_scope(scope_);
  ++macro_depth_;
  const MacroSignature& signature = *statement.signature;
  scope_ = NewScope(closure);
  auto& variables = scope_->variables;
  DictObject rest;
  for (auto& [key, value] : arguments.named) {
    const bool known = std::find(signature.parameters.begin(), signature.parameters.end(), key) !=
                           signature.parameters.end() ||
                       key == "caller";
    if (known) {
      variables[key] = std::move(value);
    } else if (signature.takes_kwargs) {
      rest.Set(Object(key), std::move(value));
    } else {
      throw EvalError("macro " + name + " takes no argument '" + key + "'");
    }
  }
  const size_t num_parameters = signature.parameters.size();
  Objects more;
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    if (i < num_parameters) {
      variables[signature.parameters[i]] = std::move(arguments.positional[i]);
    } else {
      more.push_back(std::move(arguments.positional[i]));
    }
  }
  if (!more.empty() && !signature.takes_varargs) {
    throw EvalError("macro " + name + " takes at most " + std::to_string(num_parameters) +
                    " arguments, found " + std::to_string(arguments.positional.size()));
  }
  const size_t first_default = num_parameters - signature.defaults.size();
  for (size_t i = 0; i < num_parameters; ++i) {
    const std::string& parameter = signature.parameters[i];
    if (variables.count(parameter) != 0) continue;
    variables[parameter] = i >= first_default
                               ? Evaluate(*signature.defaults[i - first_default])
                               : runtime_.Undefined([parameter] {
                                   return "parameter '" + parameter + "' is not given";
                                 });
  }
  if (signature.takes_varargs) variables["varargs"] = Object::Tuple(std::move(more));
  if (signature.takes_kwargs) {
    variables["kwargs"] = Object(std::make_shared<DictObject>(std::move(rest)));
  }
  return Object(Capture(statement.body));
}

void Interpreter::Assign(const Expression& target, Object value) {
  if (target.kind == ExpressionKind::kName) {
    scope_->variables[target.text] = std::move(value);
    return;
  }
  if (target.kind == ExpressionKind::kNamespace) {
    const Object object = Lookup(target.text);
    auto* fields = object.get<NamespaceObject>();
    if (fields == nullptr) {
      throw EvalError("'" + target.text + "' is a " + std::string(TypeName(object)) +
                      "; only the fields of a namespace() can be set");
    }
    fields->attributes.Set(Object(target.attribute), std::move(value));
    return;
  }
  Objects items = Items(value);
  if (items.size() != target.children.size()) {
    throw EvalError("cannot unpack " + std::to_string(items.size()) + " values into " +
                    std::to_string(target.children.size()) + " names");
  }
  for (size_t i = 0; i < items.size(); ++i) Assign(*target.children[i], std::move(items[i]));
}

std::string Interpreter::Capture(const Body& body) {
  std::string text;
  const Restore keep_output(output_);
  const Restore keep_scope(scope_);
  output_ = &text;
  scope_ = NewScope(scope_);
  Execute(body);
  return text;
}

void Interpreter::Write(const Object& value) {
  const std::string text = Str(value);
  runtime_.ChargeBytes(text.size());
  *output_ += text;
}

}  // namespace breakeven::jinja
