// Pure. printf-style formatting, and the numbers of both styles.
#include <cmath>
#include <cstdio>

#include "data_pipeline/template/format.h"
#include "data_pipeline/template/unicode.h"

namespace breakeven::jinja {
namespace {

std::string FormatInteger(int64_t value, const NumberFormat& format) {
  const bool negative = value < 0;
  uint64_t rest = negative ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value);
  const unsigned base = format.type == 'x' || format.type == 'X' ? 16
                        : format.type == 'o'                     ? 8
                        : format.type == 'b'                     ? 2
                                                                 : 10;
  const char* digits = format.type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string text;
  do {
    text.insert(text.begin(), digits[rest % base]);
    rest /= base;
  } while (rest > 0);
  if (format.precision > static_cast<int>(text.size())) {
    text.insert(0, static_cast<size_t>(format.precision) - text.size(), '0');
  }
  if (format.alternate && base != 10) text.insert(0, std::string("0") + format.type);
  if (negative) return "-" + text;
  return (format.plus ? "+" : format.space ? " " : "") + text;
}

std::string FormatFloat(double value, const NumberFormat& format) {
  std::string pattern = "%";
  if (format.plus) pattern += '+';
  if (format.space) pattern += ' ';
  if (format.alternate) pattern += '#';
  pattern += ".*";
  pattern += format.type;
  const int precision = format.precision < 0 ? 6 : format.precision;
  const int size = std::snprintf(nullptr, 0, pattern.c_str(), precision, value);
  std::string text(static_cast<size_t>(size) + 1, '\0');
  std::snprintf(text.data(), text.size(), pattern.c_str(), precision, value);
  text.pop_back();
  if (std::isnan(value) && text.find('-') == 0) text.erase(0, 1);  // Python's nan has no sign
  return text;
}

bool IsFloatType(char type) {
  return std::string_view("fFeEgG").find(type) != std::string_view::npos;
}

class PercentFormatter {
 public:
  PercentFormatter(std::string_view text, const Object& arguments)
      : text_(text), arguments_(arguments), tuple_(arguments.get<TupleObject>()) {}

  std::string Run() {
    while (position_ < text_.size()) {
      const size_t percent = text_.find('%', position_);
      if (percent == std::string_view::npos) {
        result_ += text_.substr(position_);
        break;
      }
      result_ += text_.substr(position_, percent - position_);
      position_ = percent + 1;
      Conversion();
      CheckBytes(result_.size());
    }
    const size_t given = tuple_ != nullptr ? tuple_->items.size() : 1;
    // What Python takes for a mapping may hold more than is used.
    const bool mapping = arguments_.get<DictObject>() != nullptr ||
                         arguments_.get<ListObject>() != nullptr || arguments_.is_undefined();
    if (used_ < given && !mapping)
      throw EvalError("a format string uses fewer values than it is given");
    return result_;
  }

 private:
  const Object& NextArgument() {
    if (tuple_ == nullptr) {
      if (used_++ > 0) throw EvalError("a format string needs more values than it is given");
      return arguments_;
    }
    if (used_ >= tuple_->items.size())
      throw EvalError("a format string needs more values than it is given");
    return tuple_->items[used_++];
  }

  Object Named() {
    const size_t begin = ++position_;
    const size_t end = text_.find(')', begin);
    const auto* dict = arguments_.get<DictObject>();
    if (end == std::string_view::npos) throw EvalError("a format string has '%(' without ')'");
    const std::string name(text_.substr(begin, end - begin));
    if (dict == nullptr) throw EvalError("the format '%(" + name + ")' needs a dict of values");
    const Object* value = dict->FindString(name);
    if (value == nullptr)
      throw EvalError("the format '%(" + name + ")' names a value that is not given");
    position_ = end + 1;
    return *value;
  }

  int CountOrStar() {
    if (text_.substr(position_, 1) != "*") return ReadCount(text_, position_);
    ++position_;
    int64_t count = 0;
    if (!ToInteger(NextArgument(), count) || count > 1'000'000 || count < -1'000'000)
      throw EvalError("'*' in a format needs a small integer");
    return static_cast<int>(count);
  }

  void Conversion() {
    const bool named = text_.substr(position_, 1) == "(";
    Object value;
    if (named) value = Named();
    NumberFormat format;
    bool left = false;
    bool zero = false;
    for (; position_ < text_.size(); ++position_) {
      const char flag = text_[position_];
      if (flag == '-')
        left = true;
      else if (flag == '0')
        zero = true;
      else if (flag == '+')
        format.plus = true;
      else if (flag == ' ')
        format.space = true;
      else if (flag == '#')
        format.alternate = true;
      else
        break;
    }
    int width = CountOrStar();
    if (width < -1) {
      left = true;
      width = -width;
    }
    if (text_.substr(position_, 1) == ".") {
      ++position_;
      format.precision = std::max(0, CountOrStar());
    }
    while (position_ < text_.size() &&
           std::string_view("hlL").find(text_[position_]) != std::string_view::npos) {
      ++position_;
    }
    if (position_ >= text_.size())
      throw EvalError("a format string ends in the middle of a '%' format");
    format.type = text_[position_++];
    if (format.type == '%') {
      result_ += '%';
      return;
    }
    if (!named) value = NextArgument();
    result_ += Converted(value, format, width < 0 ? 0 : static_cast<size_t>(width), left, zero);
  }

  static std::string Converted(const Object& value, NumberFormat format, size_t width, bool left,
                               bool zero) {
    std::string text;
    bool number = false;
    if (format.type == 's' || format.type == 'r' || format.type == 'a') {
      text = format.type == 's' ? Str(value) : Repr(value);
      if (format.precision >= 0)
        text.resize(unicode::ByteOffset(text, static_cast<size_t>(format.precision)));
    } else if (format.type == 'c') {
      text = Character(value);
    } else {
      if (format.type == 'i' || format.type == 'u') format.type = 'd';
      if (format.type == 'd' && value.number() != nullptr) {
        text = FormatNumber(Object(std::trunc(*value.number())), format);
      } else {
        text = FormatNumber(value, format);
      }
      number = true;
    }
    if (left) return Pad(std::move(text), width, '<');
    return number && zero ? Pad(std::move(text), width, '=', "0")
                          : Pad(std::move(text), width, '>');
  }

  static std::string Character(const Object& value) {
    if (const std::string* text = value.string()) {
      if (unicode::Length(*text) == 1) return *text;
    }
    int64_t code_point = 0;
    if (!ToInteger(value, code_point) || code_point < 0 || code_point > 0x10FFFF ||
        (code_point >= 0xD800 && code_point < 0xE000)) {
      throw EvalError("'%c' needs one character or its code point");
    }
    std::string text;
    unicode::Append(text, static_cast<uint32_t>(code_point));
    return text;
  }

  std::string_view text_;
  const Object& arguments_;
  const TupleObject* tuple_;
  size_t used_ = 0;
  size_t position_ = 0;
  std::string result_;
};

}  // namespace

std::string FormatNumber(const Object& object, const NumberFormat& format) {
  if (const auto* undefined = object.get<UndefinedObject>()) throw EvalError(undefined->message());
  double number = 0;
  int64_t integer = 0;
  if (IsFloatType(format.type)) {
    if (!ToDouble(object, number)) {
      throw EvalError(std::string("the format '") + format.type + "' needs a number, found " +
                      std::string(TypeName(object)));
    }
    return FormatFloat(number, format);
  }
  if (std::string_view("dxXob").find(format.type) == std::string_view::npos) {
    throw EvalError(std::string("unknown format '") + format.type + "'");
  }
  if (!ToInteger(object, integer)) {
    const double* whole = object.number();
    if (format.type != 'd' || whole == nullptr || !(std::abs(*whole) < 9.2e18)) {
      throw EvalError(std::string("the format '") + format.type + "' needs an integer, found " +
                      std::string(TypeName(object)));
    }
    integer = static_cast<int64_t>(*whole);
  }
  return FormatInteger(integer, format);
}

std::string Pad(std::string text, size_t width, char align, std::string_view fill) {
  const size_t length = unicode::Length(text);
  if (length >= width) return text;
  const size_t missing = width - length;
  CheckBytes(text.size() + missing * fill.size());
  size_t before = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  std::string left;
  for (size_t i = 0; i < before; ++i) left += fill;
  if (align == '=') {
    size_t sign =
        !text.empty() && std::string_view("+- ").find(text[0]) != std::string_view::npos ? 1 : 0;
    if (text.size() > sign + 1 && text[sign] == '0' &&
        std::string_view("xXob").find(text[sign + 1]) != std::string_view::npos) {
      sign += 2;
    }
    return text.insert(sign, left);
  }
  text.insert(0, left);
  for (size_t i = before; i < missing; ++i) text += fill;
  return text;
}

int ReadCount(std::string_view text, size_t& position) {
  int count = -1;
  while (position < text.size() && text[position] >= '0' && text[position] <= '9') {
    count = std::max(count, 0) * 10 + (text[position++] - '0');
    if (count > 1'000'000) throw EvalError("a width or precision in a format is too large");
  }
  return count;
}

std::string FormatPercent(std::string_view text, const Object& arguments) {
  return PercentFormatter(text, arguments).Run();
}

}  // namespace breakeven::jinja
