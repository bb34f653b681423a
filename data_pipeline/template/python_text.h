// Pure. What Python's str methods do to UTF-8 text; shared by filters and methods.
#ifndef BREAKEVEN_DATA_PIPELINE_TEMPLATE_PYTHON_TEXT_H_
#define BREAKEVEN_DATA_PIPELINE_TEMPLATE_PYTHON_TEXT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace breakeven::jinja {

// str.strip(chars): nullptr = white space.
std::string_view StripText(std::string_view text, const std::string* chars, bool left, bool right);
// str.replace(old, new, count): a negative count = all.
std::string ReplaceText(std::string_view text, std::string_view from, std::string_view to,
                        int64_t count);
// str.split and str.rsplit: nullptr = runs of white space; negative max_splits = all.
std::vector<std::string> SplitText(std::string_view text, const std::string* separator,
                                   int64_t max_splits);
std::vector<std::string> SplitTextRight(std::string_view text, const std::string* separator,
                                        int64_t max_splits);
std::vector<std::string> SplitLines(std::string_view text, bool keep_ends);
// int(text, base): nullopt where Python raises ValueError. EvalError when the number does not fit
// 64 bits.
std::optional<int64_t> ParseInteger(std::string_view text, int base);
// float(text): nullopt where Python raises ValueError.
std::optional<double> ParseFloat(std::string_view text);
// round(number, digits), half to even on the exact value.
double RoundFloat(double number, int64_t digits);

}  // namespace breakeven::jinja

#endif  // BREAKEVEN_DATA_PIPELINE_TEMPLATE_PYTHON_TEXT_H_
