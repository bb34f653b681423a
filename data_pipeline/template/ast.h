// Pure. The parsed template.
#ifndef BREAKEVEN_DATA_PIPELINE_TEMPLATE_AST_H_
#define BREAKEVEN_DATA_PIPELINE_TEMPLATE_AST_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data_pipeline/template/lexer.h"
#include "data_pipeline/template/object.h"

namespace breakeven::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

// f(positional…, named=…, *star, **star_star)
struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr star;
  ExpressionPtr star_star;
};

enum class ExpressionKind {
  kConstant,
  kName,       // text
  kList,       // children
  kTuple,      // children; also as a target
  kDict,       // children: key, value, key, value …
  kUnary,      // text: - + not; children[0]
  kBinary,     // text: + - * / // % **; children[0], [1]
  kConcat,     // children
  kCompare,    // children[0], then operators[i] and children[i + 1]
  kAnd,        // children[0], [1]
  kOr,         // children[0], [1]
  kCondition,  // children: test, then, otherwise (may be null)
  kAttribute,  // children[0], text
  kItem,       // children[0], [1]
  kSlice,      // children: object, start, stop, step (null where left out)
  kCall,       // children[0], arguments
  kFilter,     // children[0] (null: the text of the block), text, arguments
  kTest,       // children[0], text, arguments
  kNamespace,  // target only: text is the variable, attribute the field
};

struct Expression {
  ExpressionKind kind = ExpressionKind::kConstant;
  Position at;
  int depth = 1;
  std::string text;
  std::string attribute;
  Object constant;
  std::vector<ExpressionPtr> children;
  std::vector<std::string> operators;
  CallArguments arguments;
};

struct Statement;
using Body = std::vector<std::unique_ptr<Statement>>;

struct MacroSignature {
  std::vector<std::string> parameters;
  std::vector<ExpressionPtr> defaults;  // of the last parameters
  bool takes_varargs = false;           // the body uses `varargs`, `kwargs`, `caller`
  bool takes_kwargs = false;
  bool takes_caller = false;
};

enum class StatementKind {
  kData,      // text
  kOutput,    // value
  kIf,        // branches; else_body
  kFor,       // target, value, condition (or null), body, else_body
  kSet,       // target, value
  kSetBlock,  // target, value (filters over the block's text, or null), body
  kMacro,     // text, signature, body
  kCall,      // value (a call), signature, body
  kFilter,    // value, body
  kWith,      // assignments, body
  kScope,     // body (generation)
  kBreak,
  kContinue,
};

struct Statement {
  StatementKind kind = StatementKind::kData;
  Position at;
  std::string text;
  ExpressionPtr target;
  ExpressionPtr value;
  ExpressionPtr condition;
  std::vector<std::pair<ExpressionPtr, Body>> branches;
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> assignments;
  std::shared_ptr<const MacroSignature> signature;
  Body body;
  Body else_body;
};

}  // namespace breakeven::jinja

#endif  // BREAKEVEN_DATA_PIPELINE_TEMPLATE_AST_H_
