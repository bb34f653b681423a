// Pure. Tokens → the parsed template.
#ifndef BREAKEVEN_DATA_PIPELINE_TEMPLATE_PARSER_H_
#define BREAKEVEN_DATA_PIPELINE_TEMPLATE_PARSER_H_

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "data_pipeline/template/ast.h"

namespace breakeven::jinja {

// Nesting of expressions and of blocks; deeper ones would need more stack than a thread has.
inline constexpr int kMaxDepth = 200;

// Walks over the tokens; shared by the parsers of expressions and of statements.
class TokenStream {
 public:
  TokenStream(std::vector<Token> tokens, std::string_view name)
      : tokens_(std::move(tokens)), name_(name) {}

  const Token& current() const { return tokens_[position_]; }
  const Token& look() const { return tokens_[std::min(position_ + 1, tokens_.size() - 1)]; }
  Token Take();
  bool IsOperator(std::string_view text) const;
  bool IsName(std::string_view text) const;
  bool SkipOperator(std::string_view text);
  bool SkipName(std::string_view text);
  void ExpectOperator(std::string_view text);
  void ExpectName(std::string_view text);
  Token ExpectAnyName();
  void Expect(TokenKind kind);
  [[noreturn]] void Fail(Position at, const std::string& message) const {
    FailSyntax(name_, at, message);
  }
  [[noreturn]] void FailHere(const std::string& expected) const;
  std::string_view name() const { return name_; }

 private:
  std::vector<Token> tokens_;
  std::string_view name_;
  size_t position_ = 0;
};

// Jinja2's grammar of expressions: from `x if y else z` down to names and literals.
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  // `with_condition`: an inline if may follow (not in the head of a for or if).
  ExpressionPtr Parse(bool with_condition = true);
  // One expression, or a tuple of several without parentheses. `end_name`: a word that ends it
  // ("in").
  ExpressionPtr ParseTuple(bool with_condition = true, std::string_view end_name = "");
  // What may stand left of = and after for; `namespaces`: also ns.field.
  ExpressionPtr ParseTarget(bool namespaces, std::string_view end_name = "");
  // A chain of filters, `x|a|b`, on `value`. With start_inline the first has no bar before it.
  ExpressionPtr ParseFilters(ExpressionPtr value, bool start_inline);
  ExpressionPtr Name(const Token& token) const;

 private:
  ExpressionPtr Make(ExpressionKind kind, Position at, std::string text = "") const;
  void AddChild(Expression& parent, ExpressionPtr child) const;
  ExpressionPtr Binary(ExpressionKind kind, Position at, std::string_view text, ExpressionPtr left,
                       ExpressionPtr right);
  ExpressionPtr ParseCondition();
  ExpressionPtr ParseOr();
  ExpressionPtr ParseAnd();
  ExpressionPtr ParseNot();
  ExpressionPtr ParseCompare();
  ExpressionPtr ParseSum();
  ExpressionPtr ParseConcat();
  ExpressionPtr ParseProduct();
  ExpressionPtr ParsePower();
  ExpressionPtr ParseUnary(bool with_filters);
  ExpressionPtr ParsePrimary(bool namespaces);
  ExpressionPtr ParseTupleItems(bool explicit_parentheses, bool simple, bool with_condition,
                                bool namespaces, std::string_view end_name);
  ExpressionPtr ParseList();
  ExpressionPtr ParseDict();
  ExpressionPtr ParsePostfix(ExpressionPtr value);
  ExpressionPtr ParseFilterOrTest(ExpressionPtr value);
  ExpressionPtr ParseSubscript(ExpressionPtr value);
  ExpressionPtr ParseCall(ExpressionPtr value);
  ExpressionPtr ParseTest(ExpressionPtr value);
  void ParseArguments(Expression& call);
  void ParseArgument(Expression& call, Position begin);

  TokenStream& tokens_;
  int depth_ = 0;
};

// The whole template. Error(kUsage) with line and column.
Body ParseTemplate(std::string_view source, std::string_view name, const TemplateOptions& options);

}  // namespace breakeven::jinja

#endif  // BREAKEVEN_DATA_PIPELINE_TEMPLATE_PARSER_H_
