// Pure. ast.literal_eval.
#include <algorithm>

#include "comm/base/error.h"
#include "data_pipeline/template/object.h"
#include "data_pipeline/template/python_text.h"
#include "data_pipeline/template/string_literal.h"
#include "data_pipeline/template/template.h"
#include "data_pipeline/template/unicode.h"

namespace breakeven {
namespace {

constexpr int kMaxLiteralDepth = 100;

class LiteralParser {
 public:
  LiteralParser(std::string_view text, std::string_view where) : text_(text), where_(where) {}

  Value Parse() {
    while (position_ < text_.size() && (text_[position_] == ' ' || text_[position_] == '\t'))
      ++position_;
    if (position_ >= text_.size()) Fail("is empty");
    List items;
    bool tuple = false;
    // A bare tuple: 1, 2
    while (position_ < text_.size()) {
      items.push_back(ParseValue(1));
      SkipBlanks(false);
      if (!Skip(',')) break;
      tuple = true;
      SkipBlanks(false);
      if (AtLineEnd()) break;
    }
    SkipBlanks(true);
    if (position_ < text_.size()) Fail("has something behind the value");
    return tuple ? Value(std::move(items)) : std::move(items[0]);
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    constexpr size_t kShown = 60;
    std::string shown(text_.substr(0, std::min(kShown, text_.size())));
    while (unicode::FindInvalidUtf8(shown) != std::string::npos) shown.pop_back();
    throw Error(ErrorKind::kBadData,
                std::string(where_) + ": expected a Python list or other literal, but the text " +
                    jinja::ReprString(shown) + (text_.size() > kShown ? " …" : "") + " " + what +
                    " (byte " + std::to_string(position_) + ")");
  }

  bool Skip(char c) {
    if (position_ >= text_.size() || text_[position_] != c) return false;
    ++position_;
    return true;
  }

  bool AtLineEnd() const {
    return position_ >= text_.size() || text_[position_] == '\n' || text_[position_] == '#';
  }

  // Inside brackets lines may break, and comments run to the end of theirs.
  void SkipBlanks(bool lines) {
    while (position_ < text_.size()) {
      const char c = text_[position_];
      if (c == '#' && lines) {
        position_ = std::min(text_.find('\n', position_), text_.size());
      } else if (c == ' ' || c == '\t' || c == '\f' || (lines && (c == '\n' || c == '\r'))) {
        ++position_;
      } else {
        return;
      }
    }
  }

  Value ParseValue(int depth) {
    if (depth > kMaxLiteralDepth) Fail("is nested too deeply");
    if (position_ >= text_.size()) Fail("ends too early");
    const char c = text_[position_];
    if (Skip('[')) return Value(ParseItems(']', depth).first);
    if (Skip('(')) {
      auto [items, commas] = ParseItems(')', depth);
      return items.size() == 1 && commas == 0 ? std::move(items[0]) : Value(std::move(items));
    }
    if (Skip('{')) return ParseDict(depth);
    if (c == '+' || c == '-') return ParseSigned(depth);
    if ((c >= '0' && c <= '9') || c == '.') return ParseNumber();
    if (c == '\'' || c == '"') return ParseStrings();
    return ParseWord();
  }

  std::pair<List, int> ParseItems(char closing, int depth) {
    List items;
    int commas = 0;
    while (true) {
      SkipBlanks(true);
      if (Skip(closing)) return {std::move(items), commas};
      items.push_back(ParseValue(depth + 1));
      SkipBlanks(true);
      if (Skip(',')) {
        ++commas;
      } else if (position_ >= text_.size() || text_[position_] != closing) {
        Fail(std::string("misses ',' or '") + closing + "'");
      }
    }
  }

  Value ParseDict(int depth) {
    Dict dict;
    while (true) {
      SkipBlanks(true);
      if (Skip('}')) return Value(std::move(dict));
      const Value key = ParseValue(depth + 1);
      SkipBlanks(true);
      if (!Skip(':')) Fail("has a dict entry without ':' (sets have no order and are not read)");
      SkipBlanks(true);
      const std::string* name = key.get_if<std::string>();
      if (name == nullptr) Fail("has a dict key that is no string");
      dict.Set(*name, ParseValue(depth + 1));
      SkipBlanks(true);
      if (!Skip(',') && (position_ >= text_.size() || text_[position_] != '}'))
        Fail("misses ',' or '}'");
    }
  }

  Value ParseSigned(int depth) {
    const bool negative = text_[position_++] == '-';
    SkipBlanks(false);
    if (position_ < text_.size() && (text_[position_] == '+' || text_[position_] == '-'))
      Fail("has two signs");
    const Value value = ParseValue(depth + 1);
    if (const int64_t* integer = value.get_if<int64_t>())
      return Value(negative ? -*integer : *integer);
    if (const double* number = value.get_if<double>()) return Value(negative ? -*number : *number);
    Fail("has a sign before something that is no number");
  }

  Value ParseNumber() {
    const size_t begin = position_;
    while (position_ < text_.size()) {
      const char c = static_cast<char>(text_[position_] | 32);
      const bool sign = (text_[position_] == '+' || text_[position_] == '-') && position_ > begin &&
                        (text_[position_ - 1] | 32) == 'e' && text_.substr(begin, 2) != "0x" &&
                        text_.substr(begin, 2) != "0X";
      if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || text_[position_] == '.' ||
            text_[position_] == '_' || sign))
        break;
      ++position_;
    }
    std::string_view digits = text_.substr(begin, position_ - begin);
    try {
      if (const auto integer = jinja::ParseInteger(digits, 0)) return Value(*integer);
    } catch (const jinja::EvalError& error) {
      Fail(std::string("is too large: ") + error.what());
    }
    const bool is_float = digits.find_first_of(".eE") != std::string_view::npos;
    const auto number = is_float ? jinja::ParseFloat(digits) : std::nullopt;
    if (!number.has_value()) {
      position_ = begin;
      Fail("has a broken number");
    }
    return Value(*number);
  }

  // Adjacent strings are one.
  Value ParseStrings() {
    std::string value;
    while (true) {
      value += ParseString(false);
      const size_t behind = position_;
      SkipBlanks(true);
      if (position_ >= text_.size() || (text_[position_] != '\'' && text_[position_] != '"')) {
        position_ = behind;
        return Value(std::move(value));
      }
    }
  }

  std::string ParseString(bool raw) {
    const size_t begin = position_;
    const std::string quote(3, text_[position_]);
    const bool triple = text_.substr(position_, 3) == quote;
    const std::string_view closing = std::string_view(quote).substr(0, triple ? 3 : 1);
    position_ += closing.size();
    const size_t first = position_;
    // A backslash may have led beyond the end.
    while (position_ >= text_.size() || text_.substr(position_, closing.size()) != closing) {
      if (position_ >= text_.size() || (!triple && text_[position_] == '\n')) {
        position_ = begin;
        Fail("has a string that is never closed");
      }
      position_ += text_[position_] == '\\' ? 2 : 1;
    }
    const std::string_view literal = text_.substr(first, position_ - first);
    position_ += closing.size();
    try {
      return raw ? std::string(literal) : jinja::UnescapePython(literal);
    } catch (const jinja::EvalError& error) {
      Fail(std::string("has a wrong escape: ") + error.what());
    }
  }

  Value ParseWord() {
    const size_t begin = position_;
    while (position_ < text_.size()) {
      size_t behind = position_;
      if (!unicode::IsIdentifierPart(unicode::Next(text_, behind))) break;
      position_ = behind;
    }
    const std::string_view word = text_.substr(begin, position_ - begin);
    if (word == "True") return Value(true);
    if (word == "False") return Value(false);
    if (word == "None") return Value();
    const bool quote =
        position_ < text_.size() && (text_[position_] == '\'' || text_[position_] == '"');
    if (quote && (word == "r" || word == "R")) return Value(ParseString(true));
    if (quote && (word == "u" || word == "U")) return ParseStrings();
    position_ = begin;
    Fail("is not a literal");
  }

  std::string_view text_;
  std::string_view where_;
  size_t position_ = 0;
};

}  // namespace

Value ParsePythonLiteral(std::string_view text, std::string_view where) {
  return LiteralParser(text, where).Parse();
}

}  // namespace breakeven
