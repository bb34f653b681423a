// Pure. Expressions.
#include "comm/base/suggest.h"
#include "data_pipeline/template/interpreter.h"
#include "data_pipeline/template/interpreter_guards.h"

namespace breakeven::jinja {

Object Interpreter::Eval(const Expression& expression) {
  const DepthGuard guard(*this, expression.at);
  try {
    runtime_.ChargeStep();
    return EvalUnguarded(expression);
  } catch (const EvalError& error) {
    Fail(expression.at, error.what());
  }
}

bool Interpreter::Holds(const Expression& expression) {
  const Object value = Eval(expression);
  try {
    return Truthy(value);
  } catch (const EvalError& error) {
    Fail(expression.at, error.what());
  }
}

Object Interpreter::EvalUnguarded(const Expression& expression) {
  const auto& children = expression.children;
  switch (expression.kind) {
    case ExpressionKind::kConstant:
      return expression.constant;
    case ExpressionKind::kName:
      return EvalName(expression);
    case ExpressionKind::kList:
      return Object::List(EvalAll(children));
    case ExpressionKind::kTuple:
      return Object::Tuple(EvalAll(children));
    case ExpressionKind::kDict:
      return EvalDict(expression);
    case ExpressionKind::kUnary:
      return EvalUnary(expression);
    case ExpressionKind::kBinary:
      return EvalBinary(expression);
    case ExpressionKind::kConcat: {
      std::string text;
      for (const Object& part : EvalAll(children)) {
        text += Str(part);
        CheckBytes(text.size());
      }
      runtime_.ChargeBytes(text.size());
      return Object(std::move(text));
    }
    case ExpressionKind::kCompare:
      return EvalCompare(expression);
    case ExpressionKind::kAnd: {
      Object left = Eval(*children[0]);
      return Truthy(left) ? Eval(*children[1]) : left;
    }
    case ExpressionKind::kOr: {
      Object left = Eval(*children[0]);
      return Truthy(left) ? left : Eval(*children[1]);
    }
    case ExpressionKind::kCondition:
      if (Holds(*children[0])) return Eval(*children[1]);
      if (children[2] != nullptr) return Eval(*children[2]);
      // Jinja2: never the strict kind, so that it prints as nothing.
      return Object(std::make_shared<UndefinedObject>(
          UndefinedObject{[] { return "the inline if is false and has no else"; }, false, {}}));
    case ExpressionKind::kAttribute:
      return runtime_.GetAttribute(Eval(*children[0]), expression.text);
    case ExpressionKind::kItem: {
      const Object object = Eval(*children[0]);
      return runtime_.GetItem(object, Eval(*children[1]));
    }
    case ExpressionKind::kSlice: {
      const Object object = Eval(*children[0]);
      const Object start = EvalOrNone(children[1]);
      const Object stop = EvalOrNone(children[2]);
      Object result = Slice(object, start, stop, EvalOrNone(children[3]));
      Charge(result);
      return result;
    }
    case ExpressionKind::kCall:
      return EvalCall(expression, nullptr);
    case ExpressionKind::kFilter:
      return EvalFilter(expression);
    case ExpressionKind::kTest: {
      const Object value = Eval(*children[0]);
      return Object(
          runtime_.ApplyTest(expression.text, value, EvalArguments(expression.arguments)));
    }
    case ExpressionKind::kNamespace:
      break;  // a target, never evaluated
  }
  return Object();
}

Object Interpreter::EvalName(const Expression& expression) {
  const std::string& name = expression.text;
  if (const Object* value = scope_->Find(name)) return *value;
  const auto known = fields_.find(name);
  if (known != fields_.end()) return known->second;
  Object value;
  if (const Value* field = variables_.Find(name)) {
    value = FromValue(*field);
  } else if (!FindFunction(name, runtime_.options(), value)) {
    return runtime_.Undefined([this, &name] { return UndefinedName(name); });
  }
  return fields_.emplace(name, std::move(value)).first->second;
}

std::string Interpreter::UndefinedName(std::string_view name) const {
  std::vector<std::string> known;
  std::string fields;
  for (const auto& [field, value] : variables_.items()) {
    fields += (fields.empty() ? "" : ", ") + field;
    known.push_back(field);
  }
  for (std::string& function : FunctionNames(runtime_.options()))
    known.push_back(std::move(function));
  return "'" + std::string(name) +
         "' is undefined; the fields are: " + (fields.empty() ? "none" : fields) +
         DidYouMean(name, known);
}

Object Interpreter::EvalUnary(const Expression& expression) {
  const Object value = Eval(*expression.children[0]);
  if (expression.text == "not") return Object(!Truthy(value));
  return expression.text == "-" ? Negate(value) : Positive(value);
}

Object Interpreter::EvalBinary(const Expression& expression) {
  const Object left = Eval(*expression.children[0]);
  const Object right = Eval(*expression.children[1]);
  const std::string& operation = expression.text;
  Object result;
  if (operation == "+") {
    result = Add(left, right);
  } else if (operation == "-") {
    result = Subtract(left, right);
  } else if (operation == "*") {
    result = Multiply(left, right);
  } else if (operation == "/") {
    result = Divide(left, right);
  } else if (operation == "//") {
    result = FloorDivide(left, right);
  } else if (operation == "%") {
    result = Modulo(left, right);
  } else {
    result = Power(left, right);
  }
  Charge(result);
  return result;
}

// a < b < c is a < b and b < c, each side evaluated once.
Object Interpreter::EvalCompare(const Expression& expression) {
  Object left = Eval(*expression.children[0]);
  for (size_t i = 0; i < expression.operators.size(); ++i) {
    Object right = Eval(*expression.children[i + 1]);
    const std::string& operation = expression.operators[i];
    bool holds = false;
    if (operation == "==") {
      holds = Equal(left, right);
    } else if (operation == "!=") {
      holds = !Equal(left, right);
    } else if (operation == "in") {
      holds = Contains(right, left);
    } else if (operation == "not in") {
      holds = !Contains(right, left);
    } else {
      holds = Less(left, right, operation);
    }
    if (!holds) return Object(false);
    left = std::move(right);
  }
  return Object(true);
}

Object Interpreter::EvalDict(const Expression& expression) {
  auto dict = std::make_shared<DictObject>();
  for (size_t i = 0; i + 1 < expression.children.size(); i += 2) {
    const Object key = Eval(*expression.children[i]);
    dict->Set(key, Eval(*expression.children[i + 1]));
  }
  return Object(std::move(dict));
}

Objects Interpreter::EvalAll(const std::vector<ExpressionPtr>& expressions) {
  Objects values;
  values.reserve(expressions.size());
  for (const ExpressionPtr& expression : expressions) values.push_back(Eval(*expression));
  return values;
}

Object Interpreter::EvalOrNone(const ExpressionPtr& expression) {
  return expression == nullptr ? Object() : Eval(*expression);
}

Arguments Interpreter::EvalArguments(const CallArguments& arguments) {
  Arguments values;
  values.positional = EvalAll(arguments.positional);
  for (const auto& [name, value] : arguments.named) values.named.emplace_back(name, Eval(*value));
  if (arguments.star != nullptr) {
    for (Object& item : Items(Eval(*arguments.star))) values.positional.push_back(std::move(item));
  }
  if (arguments.star_star != nullptr) {
    const Object more = Eval(*arguments.star_star);
    const auto* dict = more.get<DictObject>();
    if (dict == nullptr) throw EvalError("** needs a dict, found " + std::string(TypeName(more)));
    for (const auto& [key, value] : dict->items()) {
      if (!key.is_string()) throw EvalError("** needs a dict whose keys are strings");
      values.named.emplace_back(*key.string(), value);
    }
  }
  return values;
}

Object Interpreter::EvalCall(const Expression& expression, const Object* caller) {
  const Object function = Eval(*expression.children[0]);
  if (const auto* undefined = function.get<UndefinedObject>())
    throw EvalError(undefined->message());
  const auto* callable = function.get<CallableObject>();
  if (callable == nullptr)
    throw EvalError("a " + std::string(TypeName(function)) + " cannot be called");
  Arguments arguments = EvalArguments(expression.arguments);
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
  Object result = callable->call(runtime_, std::move(arguments));
  Charge(result);
  return result;
}

Object Interpreter::EvalFilter(const Expression& expression) {
  Object value = expression.children[0] == nullptr ? block_text_ : Eval(*expression.children[0]);
  Object result =
      runtime_.ApplyFilter(expression.text, std::move(value), EvalArguments(expression.arguments));
  Charge(result);
  return result;
}

void Interpreter::Charge(const Object& result) {
  size_t bytes = 0;
  if (const std::string* text = result.string()) {
    bytes = text->size();
  } else if (const auto* list = result.get<ListObject>()) {
    bytes = list->items.size() * sizeof(Object);
  } else if (const auto* tuple = result.get<TupleObject>()) {
    bytes = tuple->items.size() * sizeof(Object);
  } else if (const auto* iterator = result.get<IteratorObject>()) {
    bytes = iterator->items.size() * sizeof(Object);
  }
  runtime_.ChargeBytes(bytes);
}

}  // namespace breakeven::jinja
