// Pure. Statements.
#include "data_pipeline/template/parser.h"

#include <algorithm>

#include "comm/base/suggest.h"

namespace breakeven::jinja {
namespace {

using Words = std::vector<std::string>;

std::string Describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kData:
      return "text";
    case TokenKind::kBlockBegin:
      return "'{%'";
    case TokenKind::kBlockEnd:
      return "'%}'";
    case TokenKind::kVariableBegin:
      return "'{{'";
    case TokenKind::kVariableEnd:
      return "'}}'";
    case TokenKind::kString:
      return "a string";
    case TokenKind::kEnd:
      return "the end of the template";
    default:
      return "'" + token.text + "'";
  }
}

const Words& TagNames() {
  static const Words kTags = {"if",         "for",          "set",       "macro",   "call",
                              "filter",     "with",         "raw",       "break",   "continue",
                              "elif",       "else",         "endif",     "endfor",  "endset",
                              "endmacro",   "endcall",      "endfilter", "endwith", "endraw",
                              "generation", "endgeneration"};
  return kTags;
}

// Tags of Jinja2 that need other templates or HTML.
bool IsUnsupportedTag(const std::string& name) {
  static const Words kTags = {"extends", "block", "endblock",   "include",
                              "import",  "from",  "autoescape", "endautoescape",
                              "do",      "print", "trans"};
  return std::find(kTags.begin(), kTags.end(), name) != kTags.end();
}

class StatementParser {
 public:
  StatementParser(TokenStream& tokens) : tokens_(tokens), expressions_(tokens) {}

  // Statements up to one of the tags in `ends`, whose name is then the current token; all of them
  // for none.
  Body ParseBody(const Words& ends, const std::string& opened, Position opened_at) {
    if (++depth_ > kMaxDepth / 2) tokens_.Fail(opened_at, "blocks are nested too deeply");
    Body body;
    while (true) {
      const Token& token = tokens_.current();
      if (token.kind == TokenKind::kEnd) {
        if (!ends.empty())
          tokens_.Fail(opened_at, "'" + opened + "' is never closed; expected " + Tags(ends));
        break;
      }
      if (token.kind == TokenKind::kData) {
        auto data = Make(StatementKind::kData, token.at);
        data->text = tokens_.Take().text;
        body.push_back(std::move(data));
      } else if (token.kind == TokenKind::kVariableBegin) {
        auto output = Make(StatementKind::kOutput, tokens_.Take().at);
        output->value = expressions_.ParseTuple();
        tokens_.Expect(TokenKind::kVariableEnd);
        body.push_back(std::move(output));
      } else {
        tokens_.Take();  // {%
        if (std::any_of(ends.begin(), ends.end(),
                        [&](const std::string& end) { return tokens_.IsName(end); }))
          break;
        body.push_back(ParseTag(ends));
        tokens_.Expect(TokenKind::kBlockEnd);
      }
    }
    --depth_;
    return body;
  }

 private:
  using Pointer = std::unique_ptr<Statement>;

  static Pointer Make(StatementKind kind, Position at) {
    auto statement = std::make_unique<Statement>();
    statement->kind = kind;
    statement->at = at;
    return statement;
  }

  static std::string Tags(const Words& ends) {
    std::string tags;
    for (size_t i = 0; i < ends.size(); ++i)
      tags += (i == 0 ? "" : " or ") + ("{% " + ends[i] + " %}");
    return tags;
  }

  // The rest of a tag's head is parsed: %} (or, for Python's sake, :%}), the body, and the closing
  // tag's name is taken.
  Body ParseBlock(const Words& ends, const std::string& opened, Position at) {
    tokens_.SkipOperator(":");
    tokens_.Expect(TokenKind::kBlockEnd);
    return ParseBody(ends, opened, at);
  }

  Pointer ParseTag(const Words& ends) {
    if (tokens_.current().kind != TokenKind::kName) tokens_.FailHere("the name of a tag");
    const Token tag = tokens_.Take();
    if (tag.text == "if") return ParseIf(tag);
    if (tag.text == "for") return ParseFor(tag);
    if (tag.text == "set") return ParseSet(tag);
    if (tag.text == "macro") return ParseMacro(tag);
    if (tag.text == "call") return ParseCallBlock(tag);
    if (tag.text == "filter") return ParseFilterBlock(tag);
    if (tag.text == "with") return ParseWith(tag);
    if (tag.text == "generation") return ParseGeneration(tag);
    if (tag.text == "break" || tag.text == "continue") {
      if (loops_ == 0) tokens_.Fail(tag.at, "'" + tag.text + "' stands outside of a loop");
      return Make(tag.text == "break" ? StatementKind::kBreak : StatementKind::kContinue, tag.at);
    }
    if (IsUnsupportedTag(tag.text))
      tokens_.Fail(tag.at, "the tag '" + tag.text + "' is not supported");
    const Words& known = TagNames();
    if (std::find(known.begin(), known.end(), tag.text) != known.end()) {
      tokens_.Fail(tag.at, "unexpected '" + tag.text + "'" +
                               (ends.empty() ? "; no block is open" : "; expected " + Tags(ends)));
    }
    tokens_.Fail(tag.at, "unknown tag '" + tag.text + "'" + DidYouMean(tag.text, known));
  }

  Pointer ParseIf(const Token& tag) {
    Pointer statement = Make(StatementKind::kIf, tag.at);
    while (true) {
      ExpressionPtr test = expressions_.ParseTuple(false);
      Body body = ParseBlock({"elif", "else", "endif"}, "if", tag.at);
      statement->branches.emplace_back(std::move(test), std::move(body));
      const Token end = tokens_.Take();
      if (end.text == "elif") continue;
      if (end.text == "else") {
        statement->else_body = ParseBlock({"endif"}, "if", tag.at);
        tokens_.Take();
      }
      return statement;
    }
  }

  Pointer ParseFor(const Token& tag) {
    Pointer statement = Make(StatementKind::kFor, tag.at);
    statement->target = expressions_.ParseTarget(false, "in");
    RefuseLoopName(*statement->target);
    tokens_.ExpectName("in");
    statement->value = expressions_.ParseTuple(false, "recursive");
    if (tokens_.SkipName("if")) statement->condition = expressions_.Parse();
    if (tokens_.IsName("recursive"))
      tokens_.Fail(tokens_.current().at, "recursive loops are not supported");
    ++loops_;
    statement->body = ParseBlock({"endfor", "else"}, "for", tag.at);
    --loops_;
    if (tokens_.Take().text == "else") {
      statement->else_body = ParseBlock({"endfor"}, "for", tag.at);
      tokens_.Take();
    }
    return statement;
  }

  void RefuseLoopName(const Expression& target) {
    if (target.kind == ExpressionKind::kName && target.text == "loop") {
      tokens_.Fail(target.at, "a loop's variable cannot be named 'loop'");
    }
    for (const ExpressionPtr& child : target.children) RefuseLoopName(*child);
  }

  Pointer ParseSet(const Token& tag) {
    Pointer statement = Make(StatementKind::kSet, tag.at);
    statement->target = expressions_.ParseTarget(true);
    if (tokens_.SkipOperator("=")) {
      statement->value = expressions_.ParseTuple();
      return statement;
    }
    statement->kind = StatementKind::kSetBlock;
    statement->value = expressions_.ParseFilters(nullptr, false);
    statement->body = OutsideLoops({"endset"}, "set", tag.at);
    return statement;
  }

  // A block whose text is caught: break and continue cannot leave it.
  Body OutsideLoops(const Words& ends, const std::string& opened, Position at) {
    const int loops = std::exchange(loops_, 0);
    Body body = ParseBlock(ends, opened, at);
    tokens_.Take();
    loops_ = loops;
    return body;
  }

  void ParseSignature(MacroSignature& signature) {
    tokens_.ExpectOperator("(");
    while (!tokens_.IsOperator(")")) {
      if (!signature.parameters.empty()) tokens_.ExpectOperator(",");
      const Token name = tokens_.ExpectAnyName();
      if (tokens_.SkipOperator("=")) {
        signature.defaults.push_back(expressions_.Parse());
      } else if (!signature.defaults.empty()) {
        tokens_.Fail(name.at, "a parameter without default follows one with a default");
      }
      signature.parameters.push_back(name.text);
    }
    tokens_.ExpectOperator(")");
  }

  Pointer ParseMacro(const Token& tag) {
    Pointer statement = Make(StatementKind::kMacro, tag.at);
    statement->text = tokens_.ExpectAnyName().text;
    auto signature = std::make_shared<MacroSignature>();
    ParseSignature(*signature);
    statement->body = OutsideLoops({"endmacro"}, "macro", tag.at);
    signature->takes_varargs = Uses(statement->body, "varargs");
    signature->takes_kwargs = Uses(statement->body, "kwargs");
    signature->takes_caller = Uses(statement->body, "caller");
    statement->signature = std::move(signature);
    return statement;
  }

  Pointer ParseCallBlock(const Token& tag) {
    Pointer statement = Make(StatementKind::kCall, tag.at);
    auto signature = std::make_shared<MacroSignature>();
    if (tokens_.IsOperator("(")) ParseSignature(*signature);
    statement->value = expressions_.Parse();
    if (statement->value->kind != ExpressionKind::kCall)
      tokens_.Fail(statement->value->at, "expected the call of a macro");
    statement->body = OutsideLoops({"endcall"}, "call", tag.at);
    statement->signature = std::move(signature);
    return statement;
  }

  Pointer ParseFilterBlock(const Token& tag) {
    Pointer statement = Make(StatementKind::kFilter, tag.at);
    statement->value = expressions_.ParseFilters(nullptr, true);
    statement->body = OutsideLoops({"endfilter"}, "filter", tag.at);
    return statement;
  }

  Pointer ParseWith(const Token& tag) {
    Pointer statement = Make(StatementKind::kWith, tag.at);
    while (tokens_.current().kind != TokenKind::kBlockEnd) {
      if (!statement->assignments.empty()) tokens_.ExpectOperator(",");
      ExpressionPtr target = expressions_.ParseTarget(false);
      tokens_.ExpectOperator("=");
      statement->assignments.emplace_back(std::move(target), expressions_.Parse());
    }
    statement->body = ParseBlock({"endwith"}, "with", tag.at);
    tokens_.Take();
    return statement;
  }

  // transformers marks what the assistant says with this tag; printing is not changed by it.
  Pointer ParseGeneration(const Token& tag) {
    Pointer statement = Make(StatementKind::kScope, tag.at);
    statement->body = OutsideLoops({"endgeneration"}, "generation", tag.at);
    return statement;
  }

  static bool Uses(const Expression* expression, const std::string& name) {
    if (expression == nullptr) return false;
    if (expression->kind == ExpressionKind::kName && expression->text == name) return true;
    const CallArguments& arguments = expression->arguments;
    const auto uses = [&](const ExpressionPtr& part) { return Uses(part.get(), name); };
    return std::any_of(expression->children.begin(), expression->children.end(), uses) ||
           std::any_of(arguments.positional.begin(), arguments.positional.end(), uses) ||
           std::any_of(arguments.named.begin(), arguments.named.end(),
                       [&](const auto& part) { return uses(part.second); }) ||
           uses(arguments.star) || uses(arguments.star_star);
  }

  static bool Uses(const Body& body, const std::string& name) {
    return std::any_of(body.begin(), body.end(), [&](const Pointer& s) {
      if (Uses(s->value.get(), name) || Uses(s->condition.get(), name) || Uses(s->body, name) ||
          Uses(s->else_body, name)) {
        return true;
      }
      for (const auto& [test, branch] : s->branches) {
        if (Uses(test.get(), name) || Uses(branch, name)) return true;
      }
      return std::any_of(s->assignments.begin(), s->assignments.end(), [&](const auto& assignment) {
        return Uses(assignment.second.get(), name);
      });
    });
  }

  TokenStream& tokens_;
  ExpressionParser expressions_;
  int depth_ = 0;
  int loops_ = 0;
};

}  // namespace

Token TokenStream::Take() {
  Token token = tokens_[position_];
  if (position_ + 1 < tokens_.size()) ++position_;
  return token;
}

bool TokenStream::IsOperator(std::string_view text) const {
  return current().kind == TokenKind::kOperator && current().text == text;
}
bool TokenStream::IsName(std::string_view text) const {
  return current().kind == TokenKind::kName && current().text == text;
}
bool TokenStream::SkipOperator(std::string_view text) {
  if (!IsOperator(text)) return false;
  Take();
  return true;
}
bool TokenStream::SkipName(std::string_view text) {
  if (!IsName(text)) return false;
  Take();
  return true;
}
void TokenStream::ExpectOperator(std::string_view text) {
  if (!SkipOperator(text)) FailHere("'" + std::string(text) + "'");
}
void TokenStream::ExpectName(std::string_view text) {
  if (!SkipName(text)) FailHere("'" + std::string(text) + "'");
}
Token TokenStream::ExpectAnyName() {
  if (current().kind != TokenKind::kName) FailHere("a name");
  return Take();
}
void TokenStream::Expect(TokenKind kind) {
  if (current().kind != kind) FailHere(kind == TokenKind::kBlockEnd ? "'%}'" : "'}}'");
  Take();
}
void TokenStream::FailHere(const std::string& expected) const {
  Fail(current().at, "found " + Describe(current()) + ", expected " + expected);
}

Body ParseTemplate(std::string_view source, std::string_view name, const TemplateOptions& options) {
  TokenStream tokens(Tokenize(source, name, options), name);
  return StatementParser(tokens).ParseBody({}, "", {});
}

}  // namespace breakeven::jinja
