// Pure. Statements.
#include "data_pipeline/template/interpreter.h"

#include <algorithm>

#include "comm/base/error.h"
#include "data_pipeline/template/interpreter_guards.h"

namespace breakeven::jinja {

const Object* Scope::Find(std::string_view name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->parent.get()) {
    for (const auto& [known, value] : scope->names) {
      if (known == name) return &value;
    }
  }
  return nullptr;
}

void Scope::Set(std::string_view name, Object value) {
  for (auto& [known, old] : names) {
    if (known == name) {
      old = std::move(value);
      return;
    }
  }
  names.emplace_back(name, std::move(value));
}

Interpreter::Interpreter(const Body& body, std::string_view name, const TemplateOptions& options,
                         const Dict& variables)
    : body_(body),
      name_(name),
      variables_(variables),
      runtime_(options),
      scope_(std::make_shared<Scope>()) {}

// A macro holds the scope that holds the macro: the ring is cut here.
Interpreter::~Interpreter() {
  for (const std::weak_ptr<Scope>& scope : macro_scopes_) {
    if (const std::shared_ptr<Scope> alive = scope.lock()) alive->names.clear();
  }
}

std::string Interpreter::Run() {
  std::string output;
  output_ = &output;
  RunBody(body_);
  return output;
}

void Interpreter::Fail(Position at, const std::string& message) const {
  throw Error(ErrorKind::kBadData, std::string(name_) + ": " + PositionText(at) + ": " + message);
}

void Interpreter::Print(const std::string& text) {
  CheckBytes(output_->size() + text.size());
  *output_ += text;
}

Interpreter::Flow Interpreter::RunBody(const Body& body) {
  for (const auto& statement : body) {
    const Flow flow = RunStatement(*statement);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::RunStatement(const Statement& statement) {
  const DepthGuard guard(*this, statement.at);
  try {
    runtime_.ChargeStep();
    switch (statement.kind) {
      case StatementKind::kData:
        Print(statement.text);
        break;
      case StatementKind::kOutput:
        Print(Str(Eval(*statement.value)));
        break;
      case StatementKind::kIf:
        return RunIf(statement);
      case StatementKind::kFor:
        RunFor(statement);
        break;
      case StatementKind::kSet:
        Assign(*statement.target, Eval(*statement.value));
        break;
      case StatementKind::kSetBlock:
        RunSetBlock(statement);
        break;
      case StatementKind::kMacro:
        scope_->Set(statement.text, MakeMacro(statement, statement.text));
        break;
      case StatementKind::kCall:
        RunCall(statement);
        break;
      case StatementKind::kFilter:
        block_text_ = Object(Capture(statement.body));
        Print(Str(Eval(*statement.value)));
        break;
      case StatementKind::kWith:
        RunWith(statement);
        break;
      case StatementKind::kScope:
        Print(Capture(statement.body));
        break;
      case StatementKind::kBreak:
        return Flow::kBreak;
      case StatementKind::kContinue:
        return Flow::kContinue;
    }
  } catch (const EvalError& error) {
    Fail(statement.value != nullptr ? statement.value->at : statement.at, error.what());
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::RunIf(const Statement& statement) {
  for (const auto& [test, body] : statement.branches) {
    if (Holds(*test)) return RunBody(body);
  }
  return RunBody(statement.else_body);
}

// Items are tested one at a time between runs of the body, which may change what the test sees.
std::function<bool()> Interpreter::FilteredItems(const Statement& statement, LoopObject* loop) {
  auto candidates = std::make_shared<Objects>(std::move(loop->items));
  loop->items.clear();
  auto next = std::make_shared<size_t>(0);
  return [this, &statement, loop, candidates, next, outer = scope_] {
    while (*next < candidates->size()) {
      const Object candidate = (*candidates)[(*next)++];
      const ScopeGuard guard(*this, outer);
      Assign(*statement.target, candidate);
      if (!Holds(*statement.condition)) continue;
      loop->items.push_back(candidate);
      return true;
    }
    return false;
  };
}

void Interpreter::RunFor(const Statement& statement) {
  auto loop = std::make_shared<LoopObject>();
  const Object iterated = Eval(*statement.value);
  loop->items = Items(iterated);
  Charge(iterated);
  // The test lives no longer than this function, so the plain pointer in it is good.
  if (statement.condition != nullptr) loop->pull = FilteredItems(statement, loop.get());
  const std::shared_ptr<Scope> outer = scope_;
  // Jinja2 runs the else when no run of the body reached its end: also when continue or break cut each of them short.
  bool finished_one = false;
  for (int64_t index = 0; loop->Has(index); ++index) {
    const ScopeGuard guard(*this, outer);
    runtime_.ChargeStep();
    loop->index0 = index;
    scope_->Set("loop", Object(loop));
    Assign(*statement.target, loop->items[static_cast<size_t>(index)]);
    const Flow flow = RunBody(statement.body);
    if (flow == Flow::kBreak) break;
    finished_one = finished_one || flow == Flow::kNext;
  }
  loop->pull = nullptr;
  if (!finished_one) {
    const ScopeGuard guard(*this, outer);
    RunBody(statement.else_body);
  }
}

std::string Interpreter::Capture(const Body& body) {
  std::string text;
  std::string* outer_output = std::exchange(output_, &text);
  const ScopeGuard guard(*this, scope_);
  try {
    RunBody(body);
  } catch (...) {
    output_ = outer_output;
    throw;
  }
  output_ = outer_output;
  runtime_.ChargeBytes(text.size());
  return text;
}

void Interpreter::RunSetBlock(const Statement& statement) {
  Object value(Capture(statement.body));
  if (statement.value != nullptr) {
    block_text_ = std::move(value);
    value = Eval(*statement.value);
  }
  Assign(*statement.target, std::move(value));
}

void Interpreter::RunWith(const Statement& statement) {
  Objects values;
  for (const auto& [target, value] : statement.assignments) values.push_back(Eval(*value));
  const ScopeGuard guard(*this, scope_);
  for (size_t i = 0; i < values.size(); ++i)
    Assign(*statement.assignments[i].first, std::move(values[i]));
  RunBody(statement.body);
}

void Interpreter::RunCall(const Statement& statement) {
  const Object caller = MakeMacro(statement, "caller");
  Print(Str(EvalCall(*statement.value, &caller)));
}

void Interpreter::Assign(const Expression& target, Object value) {
  if (target.kind == ExpressionKind::kName) {
    scope_->Set(target.text, std::move(value));
    return;
  }
  if (target.kind == ExpressionKind::kNamespace) {
    const Object* variable = scope_->Find(target.text);
    auto* names = variable == nullptr ? nullptr : variable->get<NamespaceObject>();
    if (names == nullptr) {
      Fail(target.at,
           "'" + target.text + "' is no namespace; only namespace() objects take fields by set");
    }
    if (target.attribute.starts_with("_") && runtime_.options().chat_functions) {
      Fail(target.at,
           "a namespace in a chat template takes no field that starts with an underscore");
    }
    runtime_.AboutToHold(*variable, value);
    names->attributes.Set(Object(target.attribute), std::move(value));
    return;
  }
  Objects parts;
  try {
    parts = Items(value);
  } catch (const EvalError& error) {
    Fail(target.at, error.what());
  }
  if (parts.size() != target.children.size()) {
    Fail(target.at, "found " + std::to_string(parts.size()) + " values to unpack, expected " +
                        std::to_string(target.children.size()));
  }
  for (size_t i = 0; i < parts.size(); ++i) Assign(*target.children[i], std::move(parts[i]));
}

Object Interpreter::MakeMacro(const Statement& statement, std::string_view name) {
  if (std::none_of(macro_scopes_.begin(), macro_scopes_.end(),
                   [&](const auto& scope) { return scope.lock() == scope_; })) {
    macro_scopes_.push_back(scope_);
  }
  auto call = [this, &statement, name, closure = std::shared_ptr<const Scope>(scope_)](
                  Runtime&, Arguments arguments) {
    return CallMacro(statement, closure, name, std::move(arguments));
  };
  return Object(
      std::make_shared<CallableObject>(CallableObject{std::string(name), std::move(call), {}}));
}

Object Interpreter::CallMacro(const Statement& statement,
                              const std::shared_ptr<const Scope>& closure, std::string_view name,
                              Arguments arguments) {
  const DepthGuard depth(*this, statement.at);
  std::string text;
  std::string* outer_output = std::exchange(output_, &text);
  const ScopeGuard guard(*this, closure);
  try {
    BindMacro(statement, name, arguments);
    RunBody(statement.body);
  } catch (...) {
    output_ = outer_output;
    throw;
  }
  output_ = outer_output;
  runtime_.ChargeBytes(text.size());
  return Object(std::move(text));
}

void Interpreter::BindMacro(const Statement& statement, std::string_view name,
                            Arguments& arguments) {
  const MacroSignature& signature = *statement.signature;
  const size_t num_parameters = signature.parameters.size();
  const auto take_named = [&](const std::string& wanted, Object& value) {
    const auto found = std::find_if(arguments.named.begin(), arguments.named.end(),
                                    [&](const auto& argument) { return argument.first == wanted; });
    if (found == arguments.named.end()) return false;
    value = std::move(found->second);
    arguments.named.erase(found);
    return true;
  };
  for (size_t i = 0; i < num_parameters; ++i) {
    const std::string& parameter = signature.parameters[i];
    const size_t first_default = num_parameters - signature.defaults.size();
    Object value;
    if (i < arguments.positional.size()) {
      value = arguments.positional[i];
    } else if (!take_named(parameter, value)) {
      value = i >= first_default ? Eval(*signature.defaults[i - first_default])
                                 : runtime_.Undefined([parameter] {
                                     return "parameter '" + parameter + "' was not given";
                                   });
    }
    scope_->Set(parameter, std::move(value));
  }
  Object caller;
  if (signature.takes_caller &&
      scope_->names.end() == std::find_if(scope_->names.begin(), scope_->names.end(),
                                          [](const auto& n) { return n.first == "caller"; })) {
    if (!take_named("caller", caller))
      caller = runtime_.Undefined([] { return "caller: not called by a call block"; });
    scope_->Set("caller", std::move(caller));
  }
  if (signature.takes_kwargs) {
    auto rest = std::make_shared<DictObject>();
    for (auto& [key, value] : arguments.named) rest->Set(Object(key), std::move(value));
    arguments.named.clear();
    scope_->Set("kwargs", Object(std::move(rest)));
  }
  if (!arguments.named.empty()) {
    throw EvalError("macro '" + std::string(name) + "' has no parameter '" +
                    arguments.named[0].first + "'");
  }
  if (signature.takes_varargs) {
    const auto rest =
        arguments.positional.begin() +
        static_cast<std::ptrdiff_t>(std::min(num_parameters, arguments.positional.size()));
    scope_->Set("varargs", Object::Tuple(Objects(rest, arguments.positional.end())));
  } else if (arguments.positional.size() > num_parameters) {
    throw EvalError("macro '" + std::string(name) + "' takes at most " +
                    std::to_string(num_parameters) + " argument(s), found " +
                    std::to_string(arguments.positional.size()));
  }
}

}  // namespace breakeven::jinja
