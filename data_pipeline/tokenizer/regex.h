// Regular expressions of tokenizer files. They are written for Oniguruma (Ruby syntax, Unicode 16);
// PCRE2 runs them after a translation that keeps their meaning, and what it cannot keep is refused.
#ifndef BREAKEVEN_DATA_PIPELINE_TOKENIZER_REGEX_H_
#define BREAKEVEN_DATA_PIPELINE_TOKENIZER_REGEX_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace breakeven {

// A half-open byte range of the searched text.
struct Span {
  size_t begin = 0;
  size_t end = 0;
  bool operator==(const Span&) const = default;
};

// The pattern in PCRE2's syntax, for options UTF | MULTILINE | DOLLAR_ENDONLY-free defaults. Pure.
// Throws Error(kBadData) that names the construct whose meaning would change; the caller adds file
// and JSON path.
std::string TranslateOniguruma(std::string_view pattern);

// A compiled pattern; immutable, any number of threads may search at once.
class Regex {
 public:
  // `pattern` in Oniguruma's syntax. Error(kBadData) when it is wrong or not supported.
  explicit Regex(std::string_view pattern);
  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  // All matches, left to right without overlaps, as `onig`'s find_iter gives them (an empty match
  // right behind the previous match is left out). `text` is well-formed UTF-8. Error(kBadData) when
  // the search takes more than PCRE2's limits allow: a pattern with catastrophic backtracking.
  void FindAll(std::string_view text, std::vector<Span>* matches) const;

 private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

// A pattern that matches exactly `text`.
std::string EscapeForRegex(std::string_view text);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_TOKENIZER_REGEX_H_
