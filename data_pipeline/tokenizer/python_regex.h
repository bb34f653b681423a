// Python's regular expressions as far as PCRE2 shares them, which leaves out only rarities (lookbehind of several widths
// is allowed here, re.LOCALE is not). For what follows Python: the template filter regex_replace, the filters of answers.
// Lives here because PCRE2 does.
#ifndef BREAKEVEN_DATA_PIPELINE_TOKENIZER_PYTHON_REGEX_H_
#define BREAKEVEN_DATA_PIPELINE_TOKENIZER_PYTHON_REGEX_H_

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace breakeven {

// A wrong pattern or replacement, a search without end, or a result beyond its bound.
class RegexError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Immutable; any number of threads may search at once. All text is well-formed UTF-8.
class PythonRegex {
 public:
  explicit PythonRegex(const std::string& pattern);  // RegexError
  ~PythonRegex();
  PythonRegex(PythonRegex&&) noexcept;
  PythonRegex& operator=(PythonRegex&&) noexcept;
  PythonRegex(const PythonRegex&) = delete;
  PythonRegex& operator=(const PythonRegex&) = delete;

  // re.findall: of each match its groups, or the whole match where the pattern has none. A group that took no part is "".
  // Valid while `text` is.
  std::vector<std::vector<std::string_view>> FindAll(std::string_view text) const;
  // re.sub: replaces the first `count` matches (0 = all), also empty ones where Python has them. `replacement` knows \1,
  // \g<1>, \g<name> and the escapes of control characters. RegexError when the result exceeds `max_bytes`.
  std::string Replace(std::string_view text, const std::string& replacement, int64_t count,
                      size_t max_bytes) const;

 private:
  struct Compiled;
  std::string pattern_;
  std::unique_ptr<Compiled> compiled_;
};

// The same with a pattern that is used once.
std::string RegexReplace(std::string_view text, const std::string& pattern,
                         const std::string& replacement, int64_t count, size_t max_bytes);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_TOKENIZER_PYTHON_REGEX_H_
