// Pure. Template source → tokens. White space control is done here: the parser sees data as it will
// be printed.
#ifndef BREAKEVEN_DATA_PIPELINE_TEMPLATE_LEXER_H_
#define BREAKEVEN_DATA_PIPELINE_TEMPLATE_LEXER_H_

#include <string>
#include <string_view>
#include <vector>

#include "data_pipeline/template/template.h"

namespace breakeven::jinja {

struct Position {
  int line = 1;    // 1-based
  int column = 1;  // 1-based, in code points
};

enum class TokenKind {
  kData,
  kBlockBegin,     // {%
  kBlockEnd,       // %}
  kVariableBegin,  // {{
  kVariableEnd,    // }}
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;  // of a string: its value; of an operator: itself
  Position at;
  int64_t integer = 0;
  double number = 0;
};

// Throws Error(kUsage): name, line, column, message.
[[noreturn]] void FailSyntax(std::string_view name, Position at, const std::string& message);

// Error(kUsage) for what is no token. `source` is any bytes; invalid UTF-8 is an error.
std::vector<Token> Tokenize(std::string_view source, std::string_view name,
                            const TemplateOptions& options);

// "line 3, column 14".
std::string PositionText(Position at);

}  // namespace breakeven::jinja

#endif  // BREAKEVEN_DATA_PIPELINE_TEMPLATE_LEXER_H_
