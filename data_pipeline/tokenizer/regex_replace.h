// Python's re.sub, for the template filter regex_replace. Lives here because PCRE2 does.
#ifndef BREAKEVEN_DATA_PIPELINE_TOKENIZER_REGEX_REPLACE_H_
#define BREAKEVEN_DATA_PIPELINE_TOKENIZER_REGEX_REPLACE_H_

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace breakeven {

// A wrong pattern or replacement, a search without end, or a result beyond `max_bytes`.
class RegexError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Replaces the first `count` matches (0 = all), also empty ones where Python has them. `pattern` is
// in Python's syntax as far as PCRE2 shares it, which leaves out only rarities (lookbehind of
// several widths is allowed here, re.LOCALE is not); `replacement` knows \1, \g<1>, \g<name> and
// the escapes of control characters. All text is well-formed UTF-8.
std::string RegexReplace(std::string_view text, const std::string& pattern,
                         const std::string& replacement, int64_t count, size_t max_bytes);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_TOKENIZER_REGEX_REPLACE_H_
