// Pure. Expressions, by recursive descent in Jinja2's order of precedence.
#include <algorithm>

#include "comm/base/suggest.h"
#include "data_pipeline/template/parser.h"
#include "data_pipeline/template/runtime.h"

namespace breakeven::jinja {
namespace {

class DepthGuard {
 public:
  DepthGuard(int& depth, const TokenStream& tokens) : depth_(depth) {
    if (++depth_ > kMaxDepth)
      tokens.Fail(tokens.current().at, "the expression is nested too deeply");
  }
  ~DepthGuard() { --depth_; }

 private:
  int& depth_;
};

}  // namespace

ExpressionPtr ExpressionParser::Make(ExpressionKind kind, Position at, std::string text) const {
  auto expression = std::make_unique<Expression>();
  expression->kind = kind;
  expression->at = at;
  expression->text = std::move(text);
  return expression;
}

// A long chain such as a + b + c + … nests to the left without recursion here, but not in the
// interpreter.
void ExpressionParser::AddChild(Expression& parent, ExpressionPtr child) const {
  if (child != nullptr) {
    parent.depth = std::max(parent.depth, child->depth + 1);
    if (parent.depth > kMaxDepth)
      tokens_.Fail(parent.at, "the expression is nested too deeply, or a chain is too long");
  }
  parent.children.push_back(std::move(child));
}

ExpressionPtr ExpressionParser::Binary(ExpressionKind kind, Position at, std::string_view text,
                                       ExpressionPtr left, ExpressionPtr right) {
  ExpressionPtr expression = Make(kind, at, std::string(text));
  AddChild(*expression, std::move(left));
  AddChild(*expression, std::move(right));
  return expression;
}

ExpressionPtr ExpressionParser::Name(const Token& token) const {
  return Make(ExpressionKind::kName, token.at, token.text);
}

ExpressionPtr ExpressionParser::Parse(bool with_condition) {
  const DepthGuard guard(depth_, tokens_);
  return with_condition ? ParseCondition() : ParseOr();
}

ExpressionPtr ExpressionParser::ParseCondition() {
  ExpressionPtr value = ParseOr();
  while (tokens_.IsName("if")) {
    const Position at = tokens_.Take().at;
    ExpressionPtr test = ParseOr();
    ExpressionPtr otherwise;
    if (tokens_.SkipName("else")) {
      const DepthGuard guard(depth_, tokens_);
      otherwise = ParseCondition();
    }
    ExpressionPtr condition = Make(ExpressionKind::kCondition, at);
    AddChild(*condition, std::move(test));
    AddChild(*condition, std::move(value));
    AddChild(*condition, std::move(otherwise));
    value = std::move(condition);
  }
  return value;
}

ExpressionPtr ExpressionParser::ParseOr() {
  ExpressionPtr left = ParseAnd();
  while (tokens_.IsName("or")) {
    const Position at = tokens_.Take().at;
    left = Binary(ExpressionKind::kOr, at, "or", std::move(left), ParseAnd());
  }
  return left;
}

ExpressionPtr ExpressionParser::ParseAnd() {
  ExpressionPtr left = ParseNot();
  while (tokens_.IsName("and")) {
    const Position at = tokens_.Take().at;
    left = Binary(ExpressionKind::kAnd, at, "and", std::move(left), ParseNot());
  }
  return left;
}

ExpressionPtr ExpressionParser::ParseNot() {
  if (!tokens_.IsName("not")) return ParseCompare();
  const DepthGuard guard(depth_, tokens_);
  ExpressionPtr negation = Make(ExpressionKind::kUnary, tokens_.Take().at, "not");
  AddChild(*negation, ParseNot());
  return negation;
}

ExpressionPtr ExpressionParser::ParseCompare() {
  ExpressionPtr first = ParseSum();
  ExpressionPtr compare;
  while (true) {
    const Token& token = tokens_.current();
    const Position at = token.at;
    std::string operation;
    if (token.kind == TokenKind::kOperator &&
        (token.text == "==" || token.text == "!=" || token.text == "<" || token.text == "<=" ||
         token.text == ">" || token.text == ">=")) {
      operation = tokens_.Take().text;
    } else if (tokens_.SkipName("in")) {
      operation = "in";
    } else if (tokens_.IsName("not") && tokens_.look().kind == TokenKind::kName &&
               tokens_.look().text == "in") {
      tokens_.Take();
      tokens_.Take();
      operation = "not in";
    } else {
      break;
    }
    if (compare == nullptr) {
      compare = Make(ExpressionKind::kCompare, at);
      AddChild(*compare, std::move(first));
    }
    compare->operators.push_back(operation);
    AddChild(*compare, ParseSum());
  }
  return compare != nullptr ? std::move(compare) : std::move(first);
}

ExpressionPtr ExpressionParser::ParseSum() {
  ExpressionPtr left = ParseConcat();
  while (tokens_.IsOperator("+") || tokens_.IsOperator("-")) {
    const Token token = tokens_.Take();
    left = Binary(ExpressionKind::kBinary, token.at, token.text, std::move(left), ParseConcat());
  }
  return left;
}

ExpressionPtr ExpressionParser::ParseConcat() {
  ExpressionPtr first = ParseProduct();
  if (!tokens_.IsOperator("~")) return first;
  ExpressionPtr concat = Make(ExpressionKind::kConcat, tokens_.current().at);
  AddChild(*concat, std::move(first));
  while (tokens_.SkipOperator("~")) AddChild(*concat, ParseProduct());
  return concat;
}

ExpressionPtr ExpressionParser::ParseProduct() {
  ExpressionPtr left = ParsePower();
  while (tokens_.IsOperator("*") || tokens_.IsOperator("/") || tokens_.IsOperator("//") ||
         tokens_.IsOperator("%")) {
    const Token token = tokens_.Take();
    left = Binary(ExpressionKind::kBinary, token.at, token.text, std::move(left), ParsePower());
  }
  return left;
}

ExpressionPtr ExpressionParser::ParsePower() {
  ExpressionPtr left = ParseUnary(true);
  while (tokens_.IsOperator("**")) {
    const Token token = tokens_.Take();
    left = Binary(ExpressionKind::kBinary, token.at, token.text, std::move(left), ParseUnary(true));
  }
  return left;
}

ExpressionPtr ExpressionParser::ParseUnary(bool with_filters) {
  const DepthGuard guard(depth_, tokens_);
  ExpressionPtr value;
  if (tokens_.IsOperator("-") || tokens_.IsOperator("+")) {
    const Token sign = tokens_.Take();
    value = Make(ExpressionKind::kUnary, sign.at, sign.text);
    AddChild(*value, ParseUnary(false));
  } else {
    value = ParsePrimary(false);
  }
  value = ParsePostfix(std::move(value));
  return with_filters ? ParseFilterOrTest(std::move(value)) : std::move(value);
}

ExpressionPtr ExpressionParser::ParsePrimary(bool namespaces) {
  const Token& token = tokens_.current();
  const Position at = token.at;
  ExpressionPtr constant = Make(ExpressionKind::kConstant, at);
  switch (token.kind) {
    case TokenKind::kName: {
      const Token name = tokens_.Take();
      if (name.text == "true" || name.text == "True") {
        constant->constant = Object(true);
      } else if (name.text == "false" || name.text == "False") {
        constant->constant = Object(false);
      } else if (name.text != "none" && name.text != "None") {
        if (!namespaces || !tokens_.SkipOperator(".")) return Name(name);
        ExpressionPtr field = Make(ExpressionKind::kNamespace, at, name.text);
        field->attribute = tokens_.ExpectAnyName().text;
        return field;
      }
      return constant;
    }
    case TokenKind::kString: {
      std::string text = tokens_.Take().text;
      while (tokens_.current().kind == TokenKind::kString) text += tokens_.Take().text;
      constant->constant = Object(std::move(text));
      return constant;
    }
    case TokenKind::kInteger:
      constant->constant = Object(tokens_.Take().integer);
      return constant;
    case TokenKind::kFloat:
      constant->constant = Object(tokens_.Take().number);
      return constant;
    default:
      break;
  }
  if (tokens_.SkipOperator("(")) {
    const DepthGuard guard(depth_, tokens_);
    ExpressionPtr value = ParseTupleItems(true, false, true, false, "");
    tokens_.ExpectOperator(")");
    return value;
  }
  if (tokens_.IsOperator("[")) return ParseList();
  if (tokens_.IsOperator("{")) return ParseDict();
  tokens_.FailHere("an expression");
}

ExpressionPtr ExpressionParser::ParseTuple(bool with_condition, std::string_view end_name) {
  return ParseTupleItems(false, false, with_condition, false, end_name);
}

ExpressionPtr ExpressionParser::ParseTupleItems(bool explicit_parentheses, bool simple,
                                                bool with_condition, bool namespaces,
                                                std::string_view end_name) {
  const Position at = tokens_.current().at;
  std::vector<ExpressionPtr> items;
  bool is_tuple = false;
  while (true) {
    const TokenKind kind = tokens_.current().kind;
    if (kind == TokenKind::kVariableEnd || kind == TokenKind::kBlockEnd ||
        tokens_.IsOperator(")") || (!end_name.empty() && tokens_.IsName(end_name))) {
      break;
    }
    items.push_back(simple ? ParsePrimary(namespaces) : Parse(with_condition));
    if (!tokens_.SkipOperator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (items.size() == 1) return std::move(items[0]);
    if (!explicit_parentheses) tokens_.FailHere("an expression");
  }
  ExpressionPtr tuple = Make(ExpressionKind::kTuple, at);
  for (ExpressionPtr& item : items) AddChild(*tuple, std::move(item));
  return tuple;
}

ExpressionPtr ExpressionParser::ParseTarget(bool namespaces, std::string_view end_name) {
  ExpressionPtr target = ParseTupleItems(false, true, false, namespaces, end_name);
  const auto check = [&](const auto& self, const Expression& part) -> void {
    if (part.kind == ExpressionKind::kTuple) {
      for (const ExpressionPtr& child : part.children) self(self, *child);
    } else if (part.kind != ExpressionKind::kName && part.kind != ExpressionKind::kNamespace) {
      tokens_.Fail(part.at, "only names can be assigned to");
    }
  };
  check(check, *target);
  return target;
}

ExpressionPtr ExpressionParser::ParseList() {
  const DepthGuard guard(depth_, tokens_);
  ExpressionPtr list = Make(ExpressionKind::kList, tokens_.Take().at);
  while (!tokens_.IsOperator("]")) {
    if (!list->children.empty()) {
      tokens_.ExpectOperator(",");
      if (tokens_.IsOperator("]")) break;
    }
    AddChild(*list, Parse());
  }
  tokens_.ExpectOperator("]");
  return list;
}

ExpressionPtr ExpressionParser::ParseDict() {
  const DepthGuard guard(depth_, tokens_);
  ExpressionPtr dict = Make(ExpressionKind::kDict, tokens_.Take().at);
  while (!tokens_.IsOperator("}")) {
    if (!dict->children.empty()) {
      tokens_.ExpectOperator(",");
      if (tokens_.IsOperator("}")) break;
    }
    AddChild(*dict, Parse());
    tokens_.ExpectOperator(":");
    AddChild(*dict, Parse());
  }
  tokens_.ExpectOperator("}");
  return dict;
}

}  // namespace breakeven::jinja
