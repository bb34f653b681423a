// Pure.
#include "data_pipeline/template/python_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "data_pipeline/template/object.h"
#include "data_pipeline/template/unicode.h"

namespace breakeven::jinja {
namespace {

int64_t Unlimited(int64_t count) { return count < 0 ? std::numeric_limits<int64_t>::max() : count; }

std::vector<std::string> SplitSpaces(std::string_view text, int64_t max_splits) {
  std::vector<std::string> parts;
  text = unicode::StripLeft(text);
  while (!text.empty()) {
    if (static_cast<int64_t>(parts.size()) == max_splits) {
      parts.emplace_back(text);
      break;
    }
    size_t end = 0;
    while (end < text.size()) {
      size_t behind = end;
      if (unicode::IsSpace(unicode::Next(text, behind))) break;
      end = behind;
    }
    parts.emplace_back(text.substr(0, end));
    CheckItems(parts.size());
    text = unicode::StripLeft(text.substr(end));
  }
  return parts;
}

std::vector<std::string> SplitSpacesRight(std::string_view text, int64_t max_splits) {
  std::vector<std::string> parts;
  text = unicode::StripRight(text);
  while (!text.empty()) {
    if (static_cast<int64_t>(parts.size()) == max_splits) {
      parts.emplace_back(text);
      break;
    }
    size_t begin = text.size();
    while (begin > 0) {
      size_t before = begin;
      if (unicode::IsSpace(unicode::Previous(text, before))) break;
      begin = before;
    }
    parts.emplace_back(text.substr(begin));
    CheckItems(parts.size());
    text = unicode::StripRight(text.substr(0, begin));
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

// Decimal digits of any script as ASCII digits; other text as it is.
std::string AsciiDigits(std::string_view text) {
  std::string result;
  for (size_t position = 0; position < text.size();) {
    const uint32_t c = unicode::Next(text, position);
    if (c >= 0x80 && unicode::IsDecimal(c)) {
      result += static_cast<char>('0' + unicode::DigitValue(c));
    } else {
      unicode::Append(result, c);
    }
  }
  return result;
}

int DigitOf(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'z') return c - 'a' + 10;
  if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
  return 99;
}

// Removes underscores; false unless each stands between two digits.
bool RemoveUnderscores(std::string& text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      result += text[i];
    } else if (i == 0 || i + 1 == text.size() || DigitOf(text[i - 1]) > 35 ||
               DigitOf(text[i + 1]) > 35) {
      return false;
    }
  }
  text = result;
  return true;
}

}  // namespace

std::string_view StripText(std::string_view text, const std::string* chars, bool left, bool right) {
  if (chars == nullptr) {
    if (left) text = unicode::StripLeft(text);
    return right ? unicode::StripRight(text) : text;
  }
  const auto is_one = [&](std::string_view character) {
    for (size_t position = 0; position < chars->size();) {
      const size_t begin = position;
      unicode::Next(*chars, position);
      if (std::string_view(*chars).substr(begin, position - begin) == character) return true;
    }
    return false;
  };
  while (left && !text.empty()) {
    size_t behind = 0;
    unicode::Next(text, behind);
    if (!is_one(text.substr(0, behind))) break;
    text.remove_prefix(behind);
  }
  while (right && !text.empty()) {
    size_t before = text.size();
    unicode::Previous(text, before);
    if (!is_one(text.substr(before))) break;
    text.remove_suffix(text.size() - before);
  }
  return text;
}

std::string ReplaceText(std::string_view text, std::string_view from, std::string_view to,
                        int64_t count) {
  std::string result;
  int64_t left = Unlimited(count);
  size_t position = 0;
  if (from.empty()) {  // before every character and at the end
    while (left-- > 0) {
      result += to;
      CheckBytes(result.size());
      if (position >= text.size()) break;
      const size_t begin = position;
      unicode::Next(text, position);
      result += text.substr(begin, position - begin);
    }
    return position < text.size() ? result.append(text.substr(position)) : result;
  }
  while (left-- > 0) {
    const size_t found = text.find(from, position);
    if (found == std::string_view::npos) break;
    result += text.substr(position, found - position);
    result += to;
    CheckBytes(result.size());
    position = found + from.size();
  }
  result += text.substr(position);
  return result;
}

std::vector<std::string> SplitText(std::string_view text, const std::string* separator,
                                   int64_t max_splits) {
  const int64_t splits = Unlimited(max_splits);
  if (separator == nullptr) return SplitSpaces(text, splits);
  if (separator->empty()) throw EvalError("split needs a separator that is not empty");
  std::vector<std::string> parts;
  while (static_cast<int64_t>(parts.size()) < splits) {
    const size_t found = text.find(*separator);
    if (found == std::string_view::npos) break;
    parts.emplace_back(text.substr(0, found));
    CheckItems(parts.size());
    text.remove_prefix(found + separator->size());
  }
  parts.emplace_back(text);
  return parts;
}

std::vector<std::string> SplitTextRight(std::string_view text, const std::string* separator,
                                        int64_t max_splits) {
  const int64_t splits = Unlimited(max_splits);
  if (separator == nullptr) return SplitSpacesRight(text, splits);
  if (separator->empty()) throw EvalError("rsplit needs a separator that is not empty");
  std::vector<std::string> parts;
  while (static_cast<int64_t>(parts.size()) < splits) {
    const size_t found = text.rfind(*separator);
    if (found == std::string_view::npos) break;
    parts.emplace_back(text.substr(found + separator->size()));
    CheckItems(parts.size());
    text = text.substr(0, found);
  }
  parts.emplace_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string> SplitLines(std::string_view text, bool keep_ends) {
  std::vector<std::string> lines;
  size_t begin = 0;
  for (size_t position = 0; position < text.size();) {
    const size_t end = position;
    const uint32_t c = unicode::Next(text, position);
    if (!unicode::IsLineBreak(c)) continue;
    if (c == '\r' && position < text.size() && text[position] == '\n') ++position;
    lines.emplace_back(text.substr(begin, (keep_ends ? position : end) - begin));
    CheckItems(lines.size());
    begin = position;
  }
  if (begin < text.size()) lines.emplace_back(text.substr(begin));
  return lines;
}

std::optional<int64_t> ParseInteger(std::string_view source, int base) {
  std::string text = AsciiDigits(unicode::Strip(source));
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.erase(0, 1);
  }
  const auto prefix_base = [&]() -> int {
    if (text.size() < 2 || text[0] != '0') return 0;
    const char mark = text[1];
    return mark == 'x' || mark == 'X'   ? 16
           : mark == 'o' || mark == 'O' ? 8
           : mark == 'b' || mark == 'B' ? 2
                                        : 0;
  };
  const int prefixed = prefix_base();
  const bool decimal_literal = base == 0 && prefixed == 0;
  if (prefixed != 0 && (base == 0 || base == prefixed)) {
    text.erase(0, 2);
    if (!text.empty() && text[0] == '_') text.erase(0, 1);
    base = prefixed;
  }
  if (base == 0) base = 10;
  if (base < 2 || base > 36) throw EvalError("a number base is 0 or 2 to 36");
  if (text.empty() || !RemoveUnderscores(text)) return std::nullopt;
  if (decimal_literal && text[0] == '0' && text.find_first_not_of('0') != std::string::npos)
    return std::nullopt;
  int64_t value = 0;
  bool overflow = false;
  for (char c : text) {
    const int digit = DigitOf(c);
    if (digit >= base) return std::nullopt;
    overflow = overflow || __builtin_mul_overflow(value, int64_t{base}, &value) ||
               __builtin_sub_overflow(value, int64_t{digit},
                                      &value);  // downwards: reaches the lowest int64
  }
  if (!negative) overflow = overflow || __builtin_sub_overflow(int64_t{0}, value, &value);
  if (overflow)
    throw EvalError("the integer '" + std::string(source.substr(0, 40)) + "' does not fit 64 bits");
  return value;
}

std::optional<double> ParseFloat(std::string_view source) {
  std::string text = AsciiDigits(unicode::Strip(source));
  if (!RemoveUnderscores(text)) return std::nullopt;
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  std::string_view digits = text;
  double sign = 1;
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) {
    sign = digits[0] == '-' ? -1 : 1;
    digits.remove_prefix(1);
  }
  if (digits == "inf" || digits == "infinity")
    return sign * std::numeric_limits<double>::infinity();
  if (digits == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (digits.empty() || !((digits[0] >= '0' && digits[0] <= '9') || digits[0] == '.'))
    return std::nullopt;
  double value = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (parsed.ptr != digits.data() + digits.size()) return std::nullopt;
  // Out of range: from_chars leaves the value; strtod gives Python's inf or 0.
  if (parsed.ec == std::errc::result_out_of_range)
    return sign * std::strtod(std::string(digits).c_str(), nullptr);
  if (parsed.ec != std::errc()) return std::nullopt;
  return sign * value;
}

double RoundFloat(double number, int64_t digits) {
  constexpr int64_t kMostDigits = 323;
  if (!std::isfinite(number) || digits > kMostDigits) return number;
  if (digits < -308) return std::copysign(0.0, number);
  if (digits < 0) {
    const double scale = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(number / scale) * scale;
  }
  char buffer[700];
  std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(digits), number);
  return std::strtod(buffer, nullptr);
}

}  // namespace breakeven::jinja
