// Pure. Expressions.
#include <utility>

#include "comm/base/error.h"
#include "comm/base/suggest.h"
#include "data_pipeline/template/interpreter.h"

namespace breakeven::jinja {

Object Interpreter::Evaluate(const Expression& expression) {
  try {
    runtime_.ChargeStep();
    return EvaluateUnlocated(expression);
  } catch (const EvalError& error) {
    throw Error(ErrorKind::kBadData,
                std::string(name_) + ": " + PositionText(expression.at) + ": " + error.what());
  }
}

Object Interpreter::EvaluateUnlocated(const Expression& expression) {
  const auto& children = expression.children;
  switch (expression.kind) {
    case ExpressionKind::kConstant:
      return expression.constant;
    case ExpressionKind::kName:
      return Lookup(expression.text);
    case ExpressionKind::kList:
      return Object::List(EvaluateAll(children));
    case ExpressionKind::kTuple:
      return Object::Tuple(EvaluateAll(children));
    case ExpressionKind::kDict: {
      auto dict = std::make_shared<DictObject>();
      for (size_t i = 0; i + 1 < children.size(); i += 2) {
        const Object key = Evaluate(*children[i]);
        dict->Set(key, Evaluate(*children[i + 1]));
      }
      return Object(std::move(dict));
    }
    case ExpressionKind::kUnary:
      return EvaluateUnary(expression);
    case ExpressionKind::kBinary:
      return EvaluateBinary(expression);
    case ExpressionKind::kConcat: {
      std::string text;
      for (const ExpressionPtr& child : children) text += Str(Evaluate(*child));
      CheckBytes(text.size());
      runtime_.ChargeBytes(text.size());
      return Object(std::move(text));
    }
    case ExpressionKind::kCompare:
      return Object(EvaluateCompare(expression));
    case ExpressionKind::kAnd: {
      Object left = Evaluate(*children[0]);
      return Truthy(left) ? Evaluate(*children[1]) : left;
    }
    case ExpressionKind::kOr: {
      Object left = Evaluate(*children[0]);
      return Truthy(left) ? left : Evaluate(*children[1]);
    }
    case ExpressionKind::kCondition:
      if (Truthy(Evaluate(*children[0]))) return Evaluate(*children[1]);
      if (children.size() > 2 && children[2] != nullptr) return Evaluate(*children[2]);
      return runtime_.Undefined(
          [] { return std::string("the inline if has no else and its test is false"); });
    case ExpressionKind::kAttribute:
      return runtime_.GetAttribute(Evaluate(*children[0]), expression.text);
    case ExpressionKind::kItem: {
      const Object object = Evaluate(*children[0]);
      return runtime_.GetItem(object, Evaluate(*children[1]));
    }
    case ExpressionKind::kSlice:
      return EvaluateSlice(expression);
    case ExpressionKind::kCall:
      return EvaluateCall(expression, nullptr);
    case ExpressionKind::kFilter: {
      Object value = children[0] != nullptr ? Evaluate(*children[0]) : block_text_;
      return runtime_.ApplyFilter(expression.text, std::move(value),
                                  EvaluateArguments(expression.arguments));
    }
    case ExpressionKind::kTest: {
      const Object value = Evaluate(*children[0]);
      return Object(
          runtime_.ApplyTest(expression.text, value, EvaluateArguments(expression.arguments)));
    }
    case ExpressionKind::kNamespace:
      break;
  }
  throw EvalError("this can only be assigned to");
}

Object Interpreter::EvaluateUnary(const Expression& expression) {
  const Object value = Evaluate(*expression.children[0]);
  if (expression.text == "not") return Object(!Truthy(value));
  return expression.text == "-" ? Negate(value) : Positive(value);
}

Object Interpreter::EvaluateBinary(const Expression& expression) {
  const Object left = Evaluate(*expression.children[0]);
  const Object right = Evaluate(*expression.children[1]);
  const std::string& operation = expression.text;
  if (operation == "+") return Add(left, right);
  if (operation == "-") return Subtract(left, right);
  if (operation == "*") return Multiply(left, right);
  if (operation == "/") return Divide(left, right);
  if (operation == "//") return FloorDivide(left, right);
  if (operation == "%") return Modulo(left, right);
  return Power(left, right);
}

bool Interpreter::EvaluateCompare(const Expression& expression) {
  Object left = Evaluate(*expression.children[0]);
  for (size_t i = 0; i < expression.operators.size(); ++i) {
    Object right = Evaluate(*expression.children[i + 1]);
    const std::string& operation = expression.operators[i];
    bool holds = false;
    if (operation == "==") {
      holds = Equal(left, right);
    } else if (operation == "!=") {
      holds = !Equal(left, right);
    } else if (operation == "<") {
      holds = Less(left, right, operation);
    } else if (operation == ">") {
      holds = Less(right, left, operation);
    } else if (operation == "<=") {
      holds = Less(left, right, operation) || Equal(left, right);
    } else if (operation == ">=") {
      holds = Less(right, left, operation) || Equal(left, right);
    } else {
      holds = Contains(right, left) == (operation == "in");
    }
    if (!holds) return false;
    left = std::move(right);
  }
  return true;
}

Object Interpreter::EvaluateSlice(const Expression& expression) {
  const Object object = Evaluate(*expression.children[0]);
  Objects bounds(3);
  for (size_t i = 0; i < 3; ++i) {
    const size_t child = i + 1;
    if (child < expression.children.size() && expression.children[child] != nullptr) {
      bounds[i] = Evaluate(*expression.children[child]);
    }
  }
  return Slice(object, bounds[0], bounds[1], bounds[2]);
}

Object Interpreter::EvaluateCall(const Expression& expression, const Object* caller) {
  const Object callee = Evaluate(*expression.children[0]);
  const auto* callable = callee.get<CallableObject>();
  if (callable == nullptr) {
    if (const auto* undefined = callee.get<UndefinedObject>()) {
      throw EvalError(undefined->message());
    }
    throw EvalError("a " + std::string(TypeName(callee)) + " cannot be called");
  }
  Arguments arguments = EvaluateArguments(expression.arguments);
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
  return callable->call(runtime_, std::move(arguments));
}

Object Interpreter::Lookup(const std::string& name) {
  for (const Scope* scope = scope_.get(); scope != nullptr; scope = scope->parent.get()) {
    const auto found = scope->variables.find(name);
    if (found != scope->variables.end()) return found->second;
  }
  if (const Value* value = globals_.Find(name)) {
    Object object = FromValue(*value);
    // Kept: a list that a template appends to must be the same at the next look.
    Scope* root = scope_.get();
    while (root->parent != nullptr) root = root->parent.get();
    root->variables[name] = object;
    return object;
  }
  Object function;
  if (FindFunction(name, runtime_.options(), function)) return function;
  return runtime_.Undefined([this, name] {
    std::vector<std::string> known;
    std::string all;
    for (const auto& [key, value] : globals_.items()) {
      known.push_back(key);
      all += (all.empty() ? "" : ", ") + key;
    }
    const std::string near = NearestName(name, known);
    return "'" + name + "' is undefined" + (near.empty() ? "" : "; did you mean '" + near + "'?") +
           " There are: " + all;
  });
}

Arguments Interpreter::EvaluateArguments(const CallArguments& source) {
  Arguments arguments;
  arguments.positional = EvaluateAll(source.positional);
  if (source.star != nullptr) {
    for (Object& item : Items(Evaluate(*source.star))) {
      arguments.positional.push_back(std::move(item));
    }
  }
  for (const auto& [name, value] : source.named) {
    arguments.named.emplace_back(name, Evaluate(*value));
  }
  if (source.star_star != nullptr) {
    const Object mapping = Evaluate(*source.star_star);
    const auto* dict = mapping.get<DictObject>();
    if (dict == nullptr) throw EvalError("** needs a dict");
    for (const auto& [key, value] : dict->items()) arguments.named.emplace_back(Str(key), value);
  }
  return arguments;
}

Objects Interpreter::EvaluateAll(const std::vector<ExpressionPtr>& expressions) {
  Objects values;
  values.reserve(expressions.size());
  for (const ExpressionPtr& expression : expressions) values.push_back(Evaluate(*expression));
  return values;
}

}  // namespace breakeven::jinja
