// Pure. What follows a value: .name, [item], (arguments), |filter, is test.
#include "comm/base/suggest.h"
#include "data_pipeline/template/parser.h"
#include "data_pipeline/template/runtime.h"

namespace breakeven::jinja {

ExpressionPtr ExpressionParser::ParsePostfix(ExpressionPtr value) {
  while (true) {
    if (tokens_.IsOperator(".") || tokens_.IsOperator("[")) {
      value = ParseSubscript(std::move(value));
    } else if (tokens_.IsOperator("(")) {
      value = ParseCall(std::move(value));
    } else {
      return value;
    }
  }
}

ExpressionPtr ExpressionParser::ParseFilterOrTest(ExpressionPtr value) {
  while (true) {
    if (tokens_.IsOperator("|")) {
      value = ParseFilters(std::move(value), false);
    } else if (tokens_.IsName("is")) {
      value = ParseTest(std::move(value));
    } else if (tokens_.IsOperator("(")) {
      value = ParseCall(std::move(value));
    } else {
      return value;
    }
  }
}

ExpressionPtr ExpressionParser::ParseSubscript(ExpressionPtr value) {
  const Token token = tokens_.Take();
  if (token.text == ".") {
    if (tokens_.current().kind == TokenKind::kInteger) {
      const Token number = tokens_.Take();
      ExpressionPtr index = Make(ExpressionKind::kConstant, number.at);
      index->constant = Object(number.integer);
      return Binary(ExpressionKind::kItem, token.at, "", std::move(value), std::move(index));
    }
    const Token name = tokens_.ExpectAnyName();
    ExpressionPtr attribute = Make(ExpressionKind::kAttribute, name.at, name.text);
    AddChild(*attribute, std::move(value));
    return attribute;
  }
  ExpressionPtr parts[3];
  int num_colons = 0;
  if (tokens_.IsOperator("]")) tokens_.FailHere("an index");
  while (!tokens_.IsOperator("]")) {
    if (tokens_.SkipOperator(":")) {
      if (++num_colons > 2) tokens_.FailHere("']'");
    } else if (parts[num_colons] == nullptr) {
      parts[num_colons] = Parse();
    } else {
      tokens_.FailHere("']'");
    }
  }
  tokens_.ExpectOperator("]");
  if (num_colons == 0)
    return Binary(ExpressionKind::kItem, token.at, "", std::move(value), std::move(parts[0]));
  ExpressionPtr slice = Make(ExpressionKind::kSlice, token.at);
  AddChild(*slice, std::move(value));
  for (ExpressionPtr& part : parts) AddChild(*slice, std::move(part));
  return slice;
}

ExpressionPtr ExpressionParser::ParseCall(ExpressionPtr value) {
  if (value->kind == ExpressionKind::kAttribute) {
    const std::vector<std::string> known = MethodNames();
    // A method that no type has can only be a namespace's macro, and nobody keeps macros there.
    if (std::find(known.begin(), known.end(), value->text) == known.end()) {
      tokens_.Fail(value->at,
                   "unknown method '" + value->text + "'" + DidYouMean(value->text, known));
    }
  }
  ExpressionPtr call = Make(ExpressionKind::kCall, tokens_.current().at);
  AddChild(*call, std::move(value));
  ParseArguments(*call);
  return call;
}

void ExpressionParser::ParseArguments(Expression& call) {
  const Position begin = tokens_.current().at;
  tokens_.ExpectOperator("(");
  bool first = true;
  while (!tokens_.IsOperator(")")) {
    if (!first) {
      tokens_.ExpectOperator(",");
      if (tokens_.IsOperator(")")) break;
    }
    first = false;
    ParseArgument(call, begin);
  }
  tokens_.ExpectOperator(")");
}

void ExpressionParser::ParseArgument(Expression& call, Position begin) {
  CallArguments& arguments = call.arguments;
  const auto parse = [&] {
    ExpressionPtr value = Parse();
    call.depth = std::max(call.depth, value->depth + 1);
    return value;
  };
  const auto ensure = [&](bool right) {
    if (!right)
      tokens_.Fail(begin,
                   "the arguments stand in the wrong order: positional, named, *list, **dict");
  };
  if (tokens_.SkipOperator("*")) {
    ensure(arguments.star == nullptr && arguments.star_star == nullptr);
    arguments.star = parse();
  } else if (tokens_.SkipOperator("**")) {
    ensure(arguments.star_star == nullptr);
    arguments.star_star = parse();
  } else if (tokens_.current().kind == TokenKind::kName &&
             tokens_.look().kind == TokenKind::kOperator && tokens_.look().text == "=") {
    ensure(arguments.star_star == nullptr);
    const Token name = tokens_.Take();
    tokens_.Take();
    for (const auto& [other, value] : arguments.named) {
      if (other == name.text)
        tokens_.Fail(name.at, "the argument '" + name.text + "' is given twice");
    }
    arguments.named.emplace_back(name.text, parse());
  } else {
    ensure(arguments.star == nullptr && arguments.star_star == nullptr && arguments.named.empty());
    arguments.positional.push_back(parse());
  }
}

ExpressionPtr ExpressionParser::ParseFilters(ExpressionPtr value, bool start_inline) {
  while (start_inline || tokens_.SkipOperator("|")) {
    start_inline = false;
    const Token name = tokens_.ExpectAnyName();
    if (FindFilter(name.text) == nullptr) {
      if (IsUnsupportedFilter(name.text))
        tokens_.Fail(name.at, "the filter '" + name.text + "' is not supported");
      tokens_.Fail(name.at,
                   "unknown filter '" + name.text + "'" + DidYouMean(name.text, FilterNames()));
    }
    ExpressionPtr filter = Make(ExpressionKind::kFilter, name.at, name.text);
    AddChild(*filter, std::move(value));
    if (tokens_.IsOperator("(")) ParseArguments(*filter);
    value = std::move(filter);
  }
  return value;
}

ExpressionPtr ExpressionParser::ParseTest(ExpressionPtr value) {
  const Position at = tokens_.Take().at;
  const bool negated = tokens_.SkipName("not");
  const Token name = tokens_.ExpectAnyName();
  if (!IsTest(name.text)) {
    tokens_.Fail(name.at, "unknown test '" + name.text + "'" + DidYouMean(name.text, TestNames()));
  }
  ExpressionPtr test = Make(ExpressionKind::kTest, name.at, name.text);
  AddChild(*test, std::move(value));
  const Token& next = tokens_.current();
  const bool is_value = next.kind == TokenKind::kName || next.kind == TokenKind::kString ||
                        next.kind == TokenKind::kInteger || next.kind == TokenKind::kFloat ||
                        tokens_.IsOperator("[") || tokens_.IsOperator("{");
  if (tokens_.IsOperator("(")) {
    ParseArguments(*test);
  } else if (is_value && !tokens_.IsName("else") && !tokens_.IsName("or") &&
             !tokens_.IsName("and")) {
    if (tokens_.IsName("is"))
      tokens_.Fail(next.at, "tests cannot be chained with is; join them with and");
    ExpressionPtr argument = ParsePostfix(ParsePrimary(false));
    test->depth = std::max(test->depth, argument->depth + 1);
    test->arguments.positional.push_back(std::move(argument));
  }
  if (!negated) return test;
  ExpressionPtr negation = Make(ExpressionKind::kUnary, at, "not");
  AddChild(*negation, std::move(test));
  return negation;
}

}  // namespace breakeven::jinja
