// Pure.
#include "data_pipeline/template/lexer.h"

#include <algorithm>

#include "comm/base/error.h"
#include "data_pipeline/template/python_text.h"
#include "data_pipeline/template/string_literal.h"
#include "data_pipeline/template/unicode.h"

namespace breakeven::jinja {
namespace {

constexpr size_t kNone = std::string_view::npos;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// \r\n and \r become \n; without keep_trailing_newline one newline at the end goes.
std::string NormalSource(std::string_view source, bool keep_trailing_newline) {
  std::string normal;
  normal.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      normal += source[i];
      continue;
    }
    normal += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!keep_trailing_newline && normal.ends_with('\n')) normal.pop_back();
  return normal;
}

class Lexer {
 public:
  Lexer(std::string_view source, std::string_view name, const TemplateOptions& options)
      : source_(source), name_(name), options_(options) {}

  std::vector<Token> Run() {
    while (Root()) {
    }
    Add(TokenKind::kEnd, "", source_.size());
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void Fail(size_t offset, const std::string& message) {
    FailSyntax(name_, At(offset), message);
  }

  // Offsets come in rising order but for errors, so lines are counted once.
  Position At(size_t offset) {
    if (offset < counted_to_) {
      counted_to_ = 0;
      line_start_ = 0;
      line_ = 1;
    }
    for (; counted_to_ < offset; ++counted_to_) {
      if (source_[counted_to_] != '\n') continue;
      ++line_;
      line_start_ = counted_to_ + 1;
      column_offset_ = line_start_;
      column_ = 1;
    }
    if (column_offset_ < line_start_ || column_offset_ > offset) {
      column_offset_ = line_start_;
      column_ = 1;
    }
    column_ +=
        static_cast<int>(unicode::Length(source_.substr(column_offset_, offset - column_offset_)));
    column_offset_ = offset;
    return {line_, column_};
  }

  void Add(TokenKind kind, std::string text, size_t offset) {
    tokens_.push_back({kind, std::move(text), At(offset), 0, 0});
  }

  bool Starts(size_t offset, std::string_view text) const {
    return source_.substr(offset, text.size()) == text;
  }

  size_t SkipSpace(size_t offset) const {
    return source_.size() - unicode::StripLeft(source_.substr(offset)).size();
  }

  // The end of a tag at `offset`: [+-]?closing, then what the sign and trim_blocks take with it;
  // kNone when it is not there.
  size_t TagEnd(size_t offset, std::string_view closing, bool allow_plus, bool trim) const {
    if (Starts(offset, "-") && Starts(offset + 1, closing))
      return SkipSpace(offset + 1 + closing.size());
    if (allow_plus && Starts(offset, "+") && Starts(offset + 1, closing))
      return offset + 1 + closing.size();
    if (!Starts(offset, closing)) return kNone;
    offset += closing.size();
    return trim && options_.trim_blocks && Starts(offset, "\n") ? offset + 1 : offset;
  }

  // `raw` behind "{%" and an optional sign, up to the end of its tag; kNone when the tag is
  // another.
  size_t RawBegin(size_t offset) const {
    if (Starts(offset, "-") || Starts(offset, "+")) ++offset;
    offset = SkipSpace(offset);
    if (!Starts(offset, "raw")) return kNone;
    return TagEnd(SkipSpace(offset + 3), "%}", false, false);
  }

  char SignAt(size_t offset) const {
    return Starts(offset, "-") ? '-' : Starts(offset, "+") ? '+' : '\0';
  }

  // Text before a tag, with what the tag's sign or lstrip_blocks takes away.
  void AddData(size_t begin, size_t end, char sign, bool is_variable) {
    std::string_view text = source_.substr(begin, end - begin);
    if (sign == '-') {
      text = unicode::StripRight(text);
    } else if (sign != '+' && options_.lstrip_blocks && !is_variable) {
      const size_t newline = text.rfind('\n');
      const size_t line = newline == kNone ? 0 : newline + 1;
      if ((line > 0 || line_starting_) && line < text.size() &&
          unicode::Strip(text.substr(line)).empty()) {
        text = text.substr(0, line);
      }
    }
    if (!text.empty()) Add(TokenKind::kData, std::string(text), begin);
  }

  void MoveTo(size_t offset) {
    line_starting_ = offset > 0 && source_[offset - 1] == '\n';
    position_ = offset;
  }

  // One stretch of data and the tag behind it; false at the end.
  bool Root() {
    size_t tag = position_;
    while (true) {
      tag = source_.find('{', tag);
      if (tag == kNone || tag + 1 >= source_.size()) {
        if (position_ < source_.size())
          Add(TokenKind::kData, std::string(source_.substr(position_)), position_);
        return false;
      }
      const char mark = source_[tag + 1];
      if (mark == '%' || mark == '{' || mark == '#') break;
      ++tag;
    }
    const char mark = source_[tag + 1];
    const char sign = SignAt(tag + 2);
    AddData(position_, tag, sign, mark == '{');
    const size_t raw = mark == '%' ? RawBegin(tag + 2) : kNone;
    if (raw != kNone) {
      MoveTo(raw);
      Raw(tag);
      return true;
    }
    MoveTo(tag + (sign == '\0' ? 2 : 3));
    if (mark == '#') {
      Comment(tag);
    } else {
      Add(mark == '%' ? TokenKind::kBlockBegin : TokenKind::kVariableBegin, "", tag);
      Code(tag, mark == '%');
    }
    return true;
  }

  void Comment(size_t tag) {
    for (size_t end = position_; end < source_.size(); ++end) {
      const size_t behind = TagEnd(end, "#}", true, true);
      if (behind == kNone) continue;
      MoveTo(behind);
      return;
    }
    Fail(tag, "the comment that begins here is never closed with #}");
  }

  void Raw(size_t tag) {
    for (size_t end = source_.find("{%", position_); end != kNone;
         end = source_.find("{%", end + 1)) {
      const char sign = SignAt(end + 2);
      const size_t word = SkipSpace(end + (sign == '\0' ? 2 : 3));
      if (!Starts(word, "endraw")) continue;
      const size_t behind = TagEnd(SkipSpace(word + 6), "%}", true, true);
      if (behind == kNone) continue;
      AddData(position_, end, sign, false);
      MoveTo(behind);
      return;
    }
    Fail(tag, "the raw block that begins here is never closed with {% endraw %}");
  }

  void Code(size_t tag, bool is_block) {
    std::vector<char> open;  // closing brackets that are due
    while (true) {
      if (open.empty()) {
        const size_t behind =
            is_block ? TagEnd(position_, "%}", true, true) : TagEnd(position_, "}}", false, false);
        if (behind != kNone) {
          Add(is_block ? TokenKind::kBlockEnd : TokenKind::kVariableEnd, "", position_);
          MoveTo(behind);
          return;
        }
      }
      const size_t behind_space = SkipSpace(position_);
      if (behind_space > position_) {
        position_ = behind_space;
        continue;
      }
      if (position_ >= source_.size()) {
        Fail(tag, std::string("the tag that begins here is never closed with ") +
                      (is_block ? "%}" : "}}"));
      }
      if (Number() || Name() || String()) continue;
      Operator(open);
    }
  }

  // Digits with single underscores between them, from `offset`; returns the end.
  size_t Digits(size_t offset) const {
    size_t end = offset;
    while (end < source_.size() &&
           (IsDigit(source_[end]) || (end > offset && source_[end] == '_' &&
                                      end + 1 < source_.size() && IsDigit(source_[end + 1])))) {
      ++end;
    }
    return end;
  }

  // The end of a float literal at position_, or kNone. Not behind a dot: in x.1.5 the 1 is an
  // index.
  size_t FloatEnd() const {
    if (position_ > 0 && source_[position_ - 1] == '.') return kNone;
    size_t end = Digits(position_);
    if (end == position_) return kNone;
    bool is_float = false;
    if (Starts(end, ".") && Digits(end + 1) > end + 1) {
      end = Digits(end + 1);
      is_float = true;
    }
    if (Starts(end, "e") || Starts(end, "E")) {
      size_t exponent = end + 1;
      if (Starts(exponent, "+") || Starts(exponent, "-")) ++exponent;
      if (Digits(exponent) > exponent) {
        end = Digits(exponent);
        is_float = true;
      }
    }
    return is_float ? end : kNone;
  }

  size_t IntegerEnd() const {
    if (position_ >= source_.size() || !IsDigit(source_[position_])) return kNone;
    if (source_[position_] != '0') return Digits(position_);
    const char mark =
        position_ + 1 < source_.size() ? static_cast<char>(source_[position_ + 1] | 32) : '\0';
    const int base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    const auto fits = [&](size_t i) {
      if (i >= source_.size()) return false;
      const char c = static_cast<char>(source_[i] | 32);
      const int digit = IsDigit(source_[i])    ? source_[i] - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                               : 99;
      return digit < (base == 0 ? 1 : base);
    };
    size_t end = base == 0 ? position_ : position_ + 2;
    const size_t first = end;
    while (fits(end) || (end < source_.size() && source_[end] == '_' && fits(end + 1))) ++end;
    return base != 0 && end == first ? position_ + 1 : end;
  }

  bool Number() {
    const size_t float_end = FloatEnd();
    const size_t end = float_end != kNone ? float_end : IntegerEnd();
    if (end == kNone) return false;
    const std::string text(source_.substr(position_, end - position_));
    Add(float_end != kNone ? TokenKind::kFloat : TokenKind::kInteger, text, position_);
    try {
      if (float_end != kNone) {
        tokens_.back().number = ParseFloat(text).value_or(0);
      } else {
        tokens_.back().integer = ParseInteger(text, 0).value_or(0);
      }
    } catch (const EvalError& error) {
      Fail(position_, error.what());
    }
    position_ = end;
    return true;
  }

  bool Name() {
    size_t end = position_;
    while (end < source_.size()) {
      size_t behind = end;
      const uint32_t c = unicode::Next(source_, behind);
      if (end == position_ ? !unicode::IsIdentifierStart(c) : !unicode::IsIdentifierPart(c)) break;
      end = behind;
    }
    if (end == position_) return false;
    Add(TokenKind::kName, std::string(source_.substr(position_, end - position_)), position_);
    position_ = end;
    return true;
  }

  bool String() {
    const char quote = source_[position_];
    if (quote != '\'' && quote != '"') return false;
    size_t end = position_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) Fail(position_, "the string that begins here is never closed");
    try {
      Add(TokenKind::kString, UnescapePython(source_.substr(position_ + 1, end - position_ - 1)),
          position_);
    } catch (const EvalError& error) {
      Fail(position_, error.what());
    }
    position_ = end + 1;
    return true;
  }

  void Operator(std::vector<char>& open) {
    static constexpr std::string_view kOperators[] = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const auto* found = std::find_if(std::begin(kOperators), std::end(kOperators),
                                     [&](std::string_view op) { return Starts(position_, op); });
    if (found == std::end(kOperators)) {
      size_t behind = position_;
      unicode::Next(source_, behind);
      Fail(position_, "unexpected character '" +
                          std::string(source_.substr(position_, behind - position_)) + "'");
    }
    const char c = (*found)[0];
    if (c == '(') open.push_back(')');
    if (c == '[') open.push_back(']');
    if (c == '{') open.push_back('}');
    if (c == ')' || c == ']' || c == '}') {
      if (open.empty()) Fail(position_, std::string("unexpected '") + c + "'");
      if (open.back() != c) {
        Fail(position_, std::string("unexpected '") + c + "', expected '" + open.back() + "'");
      }
      open.pop_back();
    }
    Add(TokenKind::kOperator, std::string(*found), position_);
    position_ += found->size();
  }

  std::string_view source_;
  std::string_view name_;
  const TemplateOptions& options_;
  std::vector<Token> tokens_;
  size_t position_ = 0;
  bool line_starting_ = true;
  size_t counted_to_ = 0;
  size_t line_start_ = 0;
  int line_ = 1;
  size_t column_offset_ = 0;
  int column_ = 1;
};

}  // namespace

void FailSyntax(std::string_view name, Position at, const std::string& message) {
  throw Error(ErrorKind::kUsage, std::string(name) + ": " + PositionText(at) + ": " + message);
}

std::string PositionText(Position at) {
  return "line " + std::to_string(at.line) + ", column " + std::to_string(at.column);
}

std::vector<Token> Tokenize(std::string_view source, std::string_view name,
                            const TemplateOptions& options) {
  const size_t invalid = unicode::FindInvalidUtf8(source);
  if (invalid != kNone) {
    throw Error(ErrorKind::kUsage,
                std::string(name) + ": invalid UTF-8 at byte " + std::to_string(invalid));
  }
  const std::string normal = NormalSource(source, options.keep_trailing_newline);
  return Lexer(normal, name, options).Run();
}

}  // namespace breakeven::jinja
