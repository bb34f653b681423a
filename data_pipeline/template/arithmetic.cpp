// Pure. + - * / // % ** as in Python; integers are 64 bits wide and an overflow is an error, never
// a wrong number.
#include <cmath>

#include "data_pipeline/template/format.h"
#include "data_pipeline/template/object.h"

namespace breakeven::jinja {
namespace {

void CheckDefined(const Object& a, const Object& b) {
  for (const Object* side : {&a, &b}) {
    if (const auto* undefined = side->get<UndefinedObject>()) throw EvalError(undefined->message());
  }
}

[[noreturn]] void FailTypes(std::string_view operation, const Object& a, const Object& b) {
  throw EvalError("'" + std::string(operation) + "' has no meaning between " +
                  std::string(TypeName(a)) + " and " + std::string(TypeName(b)));
}

[[noreturn]] void FailOverflow() { throw EvalError("an integer grows beyond 64 bits"); }

// Both as integers when both are, else both as floats; false when either is no number.
struct Pair {
  bool integers = false;
  int64_t a = 0, b = 0;
  double x = 0, y = 0;
};

bool Numbers(const Object& left, const Object& right, Pair& pair) {
  pair.integers = ToInteger(left, pair.a) && ToInteger(right, pair.b);
  return pair.integers || (ToDouble(left, pair.x) && ToDouble(right, pair.y));
}

Objects Joined(const Objects& a, const Objects& b) {
  CheckItems(a.size() + b.size());
  Objects items = a;
  items.insert(items.end(), b.begin(), b.end());
  return items;
}

// sequence * count; false when `sequence` is none.
bool Repeat(const Object& sequence, int64_t count, Object& result) {
  const auto times = static_cast<size_t>(count < 0 ? 0 : count);
  if (const std::string* text = sequence.string()) {
    if (!text->empty() && times > kMaxBytes / text->size()) CheckBytes(kMaxBytes + 1);
    std::string repeated;
    repeated.reserve(text->size() * times);
    for (size_t i = 0; i < times && !text->empty(); ++i) repeated += *text;
    result = Object(std::move(repeated));
    return true;
  }
  const auto* list = sequence.get<ListObject>();
  const auto* tuple = sequence.get<TupleObject>();
  if (list == nullptr && tuple == nullptr) return false;
  const Objects& items = list != nullptr ? list->items : tuple->items;
  if (!items.empty() && times > kMaxItems / items.size()) CheckItems(kMaxItems + 1);
  Objects repeated;
  for (size_t i = 0; i < times && !items.empty(); ++i)
    repeated.insert(repeated.end(), items.begin(), items.end());
  result = list != nullptr ? Object::List(std::move(repeated)) : Object::Tuple(std::move(repeated));
  return true;
}

int64_t FloorQuotient(int64_t a, int64_t b) {
  if (b == -1) {
    int64_t negated = 0;
    if (__builtin_sub_overflow(int64_t{0}, a, &negated)) FailOverflow();
    return negated;
  }
  const int64_t quotient = a / b;
  return quotient * b != a && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

// The algorithm of CPython's float_divmod, whose corner cases a plain floor(a / b) misses.
void FloatDivMod(double a, double b, double& quotient, double& remainder) {
  remainder = std::fmod(a, b);
  double exact = (a - remainder) / b;
  if (remainder != 0) {
    if ((b < 0) != (remainder < 0)) {
      remainder += b;
      exact -= 1;
    }
  } else {
    remainder = std::copysign(0.0, b);
  }
  if (exact != 0) {
    quotient = std::floor(exact);
    if (exact - quotient > 0.5) quotient += 1;
  } else {
    quotient = std::copysign(0.0, a / b);
  }
}

Object IntegerPower(int64_t base, int64_t exponent) {
  int64_t result = 1;
  if (base == 0 || base == 1) return Object(exponent == 0 ? int64_t{1} : base);
  if (base == -1) return Object(int64_t{exponent % 2 == 0 ? 1 : -1});
  for (int64_t i = 0; i < exponent; ++i) {
    if (__builtin_mul_overflow(result, base, &result)) FailOverflow();
  }
  return Object(result);
}

}  // namespace

bool ToInteger(const Object& object, int64_t& integer) {
  if (const int64_t* value = object.integer()) {
    integer = *value;
    return true;
  }
  if (const bool* flag = object.boolean()) {
    integer = *flag ? 1 : 0;
    return true;
  }
  return false;
}

bool ToDouble(const Object& object, double& number) {
  int64_t integer = 0;
  if (const double* value = object.number()) {
    number = *value;
    return true;
  }
  if (!ToInteger(object, integer)) return false;
  number = static_cast<double>(integer);
  return true;
}

Object Add(const Object& a, const Object& b) {
  Pair pair;
  if (Numbers(a, b, pair)) {
    if (!pair.integers) return Object(pair.x + pair.y);
    int64_t sum = 0;
    if (__builtin_add_overflow(pair.a, pair.b, &sum)) FailOverflow();
    return Object(sum);
  }
  if (a.string() != nullptr && b.string() != nullptr) {
    CheckBytes(a.string()->size() + b.string()->size());
    return Object(*a.string() + *b.string());
  }
  if (a.get<ListObject>() != nullptr && b.get<ListObject>() != nullptr) {
    return Object::List(Joined(a.get<ListObject>()->items, b.get<ListObject>()->items));
  }
  if (a.get<TupleObject>() != nullptr && b.get<TupleObject>() != nullptr) {
    return Object::Tuple(Joined(a.get<TupleObject>()->items, b.get<TupleObject>()->items));
  }
  CheckDefined(a, b);
  if (a.is_string() || b.is_string()) {
    throw EvalError("'+' cannot join " + std::string(TypeName(a)) + " and " +
                    std::string(TypeName(b)) + "; use ~, or |string");
  }
  FailTypes("+", a, b);
}

Object Subtract(const Object& a, const Object& b) {
  CheckDefined(a, b);
  Pair pair;
  if (!Numbers(a, b, pair)) FailTypes("-", a, b);
  if (!pair.integers) return Object(pair.x - pair.y);
  int64_t difference = 0;
  if (__builtin_sub_overflow(pair.a, pair.b, &difference)) FailOverflow();
  return Object(difference);
}

Object Multiply(const Object& a, const Object& b) {
  CheckDefined(a, b);
  Pair pair;
  if (Numbers(a, b, pair)) {
    if (!pair.integers) return Object(pair.x * pair.y);
    int64_t product = 0;
    if (__builtin_mul_overflow(pair.a, pair.b, &product)) FailOverflow();
    return Object(product);
  }
  Object result;
  int64_t count = 0;
  if (ToInteger(b, count) && Repeat(a, count, result)) return result;
  if (ToInteger(a, count) && Repeat(b, count, result)) return result;
  FailTypes("*", a, b);
}

Object Divide(const Object& a, const Object& b) {
  CheckDefined(a, b);
  double x = 0;
  double y = 0;
  if (!ToDouble(a, x) || !ToDouble(b, y)) FailTypes("/", a, b);
  if (y == 0) throw EvalError("division by zero");
  return Object(x / y);
}

Object FloorDivide(const Object& a, const Object& b) {
  CheckDefined(a, b);
  Pair pair;
  if (!Numbers(a, b, pair)) FailTypes("//", a, b);
  if (pair.integers ? pair.b == 0 : pair.y == 0) throw EvalError("division by zero");
  if (pair.integers) return Object(FloorQuotient(pair.a, pair.b));
  double quotient = 0;
  double remainder = 0;
  FloatDivMod(pair.x, pair.y, quotient, remainder);
  return Object(quotient);
}

Object Modulo(const Object& a, const Object& b) {
  if (const std::string* text = a.string()) return Object(FormatPercent(*text, b));
  CheckDefined(a, b);
  Pair pair;
  if (!Numbers(a, b, pair)) FailTypes("%", a, b);
  if (pair.integers ? pair.b == 0 : pair.y == 0) throw EvalError("modulo by zero");
  if (pair.integers) {
    if (pair.b == -1) return Object(int64_t{0});
    const int64_t remainder = pair.a % pair.b;
    return Object(remainder != 0 && (remainder < 0) != (pair.b < 0) ? remainder + pair.b
                                                                    : remainder);
  }
  double quotient = 0;
  double remainder = 0;
  FloatDivMod(pair.x, pair.y, quotient, remainder);
  return Object(remainder);
}

Object Power(const Object& a, const Object& b) {
  CheckDefined(a, b);
  Pair pair;
  if (!Numbers(a, b, pair)) FailTypes("**", a, b);
  if (pair.integers) {
    if (pair.b >= 0) return IntegerPower(pair.a, pair.b);
    pair.x = static_cast<double>(pair.a);
    pair.y = static_cast<double>(pair.b);
  }
  if (pair.x == 0 && pair.y < 0) throw EvalError("zero cannot be raised to a negative power");
  if (pair.x < 0 && std::isfinite(pair.x) && std::isfinite(pair.y) &&
      std::floor(pair.y) != pair.y) {
    throw EvalError("a negative number raised to a fraction is not real");
  }
  const double power = std::pow(pair.x, pair.y);
  if (std::isinf(power) && std::isfinite(pair.x) && std::isfinite(pair.y))
    throw EvalError("a power is too large");
  return Object(power);
}

Object Negate(const Object& a) {
  CheckDefined(a, a);
  if (const double* number = a.number()) return Object(-*number);
  int64_t integer = 0;
  if (!ToInteger(a, integer))
    throw EvalError("'-' has no meaning before a " + std::string(TypeName(a)));
  int64_t negated = 0;
  if (__builtin_sub_overflow(int64_t{0}, integer, &negated)) FailOverflow();
  return Object(negated);
}

Object Positive(const Object& a) {
  CheckDefined(a, a);
  int64_t integer = 0;
  if (a.number() != nullptr) return a;
  if (!ToInteger(a, integer))
    throw EvalError("'+' has no meaning before a " + std::string(TypeName(a)));
  return Object(integer);
}

}  // namespace breakeven::jinja
