// Pure.
#include "data_pipeline/template/string_literal.h"

#include "data_pipeline/template/unicode.h"

namespace breakeven::jinja {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// `count` hex digits at `position`, which moves behind them.
uint32_t Hex(std::string_view literal, size_t& position, size_t count) {
  uint32_t value = 0;
  for (size_t i = 0; i < count; ++i, ++position) {
    const int digit = position < literal.size() ? HexDigit(literal[position]) : -1;
    if (digit < 0)
      throw EvalError("an escape in this string needs " + std::to_string(count) +
                      " hexadecimal digits");
    value = value * 16 + static_cast<uint32_t>(digit);
  }
  return value;
}

void AppendCodePoint(std::string& text, uint32_t c) {
  if (c > 0x10FFFF) throw EvalError("an escape in this string lies beyond Unicode");
  if (c >= 0xD800 && c < 0xE000)
    throw EvalError("a surrogate escape in this string; write the character itself");
  unicode::Append(text, c);
}

void AppendOctal(std::string& text, std::string_view literal, size_t& position) {
  uint32_t value = 0;
  for (int i = 0;
       i < 3 && position < literal.size() && literal[position] >= '0' && literal[position] <= '7';
       ++i) {
    value = value * 8 + static_cast<uint32_t>(literal[position++] - '0');
  }
  AppendCodePoint(text, value);
}

}  // namespace

std::string UnescapePython(std::string_view literal) {
  constexpr std::string_view kLetters = "abfnrtv\\'\"";
  constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
  std::string text;
  for (size_t position = 0; position < literal.size();) {
    if (literal[position] != '\\' || position + 1 >= literal.size()) {
      text += literal[position++];
      continue;
    }
    const char c = literal[position + 1];
    const size_t letter = kLetters.find(c);
    if (c >= '0' && c <= '7') {
      AppendOctal(text, literal, ++position);
      continue;
    }
    position += 2;
    if (letter != std::string_view::npos) {
      text += kMeanings[letter];
    } else if (c == 'x' || c == 'u' || c == 'U') {
      AppendCodePoint(text, Hex(literal, position, c == 'x' ? 2 : c == 'u' ? 4 : 8));
    } else if (c == 'N') {
      throw EvalError("\\N{…} in a string is not supported; write the character itself or \\u");
    } else if (c != '\n') {  // a backslash at the end of a line joins the lines
      text += '\\';
      text += c;
    }
  }
  return text;
}

}  // namespace breakeven::jinja
