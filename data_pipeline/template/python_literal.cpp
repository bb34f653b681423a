// Pure. ast.literal_eval over Value: lists, tuples, strings, numbers, True, False, None.
#include <cctype>
#include <cstdlib>

#include "comm/base/error.h"
#include "data_pipeline/template/string_literal.h"
#include "data_pipeline/template/template.h"

namespace breakeven {
namespace {

constexpr int kMaxDepth = 50;

class LiteralParser {
 public:
  LiteralParser(std::string_view text, std::string_view where) : text_(text), where_(where) {}

  Value Parse() {
    Value value = ParseValue(0);
    SkipSpace();
    if (at_ != text_.size()) Fail("found more behind the value");
    return value;
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    throw Error(ErrorKind::kBadData, std::string(where_) + ": " + what + " at byte " +
                                         std::to_string(at_) + " of " +
                                         std::string(text_.substr(0, 200)) +
                                         "; expected a Python literal such as ['a', 'b']");
  }
  void SkipSpace() {
    while (at_ < text_.size() && (std::isspace(static_cast<unsigned char>(text_[at_])) != 0)) ++at_;
  }
  bool Skip(std::string_view token) {
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }

  Value ParseValue(int depth) {
    if (depth > kMaxDepth) Fail("nested too deep");
    SkipSpace();
    if (at_ == text_.size()) Fail("found the end");
    const char c = text_[at_];
    if (c == '[') return ParseItems(']', depth);
    if (c == '(') return ParseItems(')', depth);
    if (c == '\'' || c == '"') return ParseString();
    if (Skip("True")) return true;
    if (Skip("False")) return false;
    if (Skip("None")) return {};
    return ParseNumber();
  }

  Value ParseItems(char close, int depth) {
    ++at_;
    List items;
    bool comma = true;
    for (SkipSpace(); at_ < text_.size() && text_[at_] != close; SkipSpace()) {
      if (!comma) Fail("expected a comma");
      items.push_back(ParseValue(depth + 1));
      SkipSpace();
      comma = Skip(",");
    }
    if (at_ == text_.size()) Fail(std::string("expected ") + close);
    ++at_;
    if (close == ')' && items.size() == 1 && !comma) return Value(items[0]);
    return Value(std::move(items));
  }

  // Neighbouring strings are one, as in Python.
  Value ParseString() {
    std::string all;
    while (at_ < text_.size() && (text_[at_] == '\'' || text_[at_] == '"')) {
      const char quote = text_[at_++];
      const size_t begin = at_;
      while (at_ < text_.size() && text_[at_] != quote) at_ += text_[at_] == '\\' ? 2 : 1;
      if (at_ >= text_.size()) {
        at_ = text_.size();
        Fail("found an unterminated string");
      }
      try {
        all += jinja::UnescapePython(text_.substr(begin, at_ - begin));
      } catch (const jinja::EvalError& error) {
        Fail(error.what());
      }
      ++at_;
      SkipSpace();
    }
    return all;
  }

  Value ParseNumber() {
    const size_t begin = at_;
    bool is_float = false;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const bool sign = (c == '-' || c == '+') &&
                        (at_ == begin || text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E');
      if (std::isdigit(static_cast<unsigned char>(c)) == 0 && !sign && c != '.' && c != 'e' &&
          c != 'E') {
        break;
      }
      is_float = is_float || c == '.' || c == 'e' || c == 'E';
      ++at_;
    }
    const std::string digits(text_.substr(begin, at_ - begin));
    if (digits.find_first_of("0123456789") == std::string::npos) Fail("found no literal");
    char* end = nullptr;
    if (!is_float && digits.size() <= 18) {
      return static_cast<int64_t>(std::strtoll(digits.c_str(), nullptr, 10));
    }
    const double number = std::strtod(digits.c_str(), &end);
    if (*end != '\0') Fail("found a malformed number");
    return number;
  }

  std::string_view text_;
  std::string_view where_;
  size_t at_ = 0;
};

}  // namespace

Value ParsePythonLiteral(std::string_view text, std::string_view where) {
  return LiteralParser(text, where).Parse();
}

}  // namespace breakeven
