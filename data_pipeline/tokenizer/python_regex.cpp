#include "data_pipeline/tokenizer/python_regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <charconv>
#include <limits>
#include <memory>
#include <vector>

namespace breakeven {
namespace {

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeMatch {
  void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
};
struct FreeContext {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
using Code = std::unique_ptr<pcre2_code, FreeCode>;

// What Python writes otherwise than PCRE2: \Z is the very end (\z), {,n} counts from 0.
std::string Translate(const std::string& pattern) {
  std::string translated;
  for (size_t i = 0; i < pattern.size(); ++i) {
    translated += pattern[i];
    if (pattern[i] == '{' && i + 1 < pattern.size() && pattern[i + 1] == ',') {
      const size_t digits = pattern.find_first_not_of("0123456789", i + 2);
      if (digits != std::string::npos && digits > i + 2 && pattern[digits] == '}')
        translated += '0';
    }
    if (pattern[i] != '\\' || i + 1 >= pattern.size()) continue;
    ++i;
    translated += pattern[i] == 'Z' ? 'z' : pattern[i];
  }
  return translated;
}

Code Compile(const std::string& pattern) {
  const std::string translated = Translate(pattern);
  int error = 0;
  PCRE2_SIZE offset = 0;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                          PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr));
  if (code == nullptr) {
    PCRE2_UCHAR message[256];
    pcre2_get_error_message(error, message, sizeof message);
    throw RegexError("the pattern '" + pattern + "' is wrong at byte " + std::to_string(offset) +
                     ": " + reinterpret_cast<const char*>(message));
  }
  return code;
}

// The replacement, cut into literal text and numbers of groups.
struct Piece {
  std::string text;
  int group = -1;
};

int GroupNumber(const pcre2_code* code, const std::string& name) {
  int number = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), number);
  if (parsed.ec == std::errc() && parsed.ptr == name.data() + name.size()) return number;
  number = pcre2_substring_number_from_name(code, reinterpret_cast<PCRE2_SPTR>(name.c_str()));
  if (number < 0)
    throw RegexError("the replacement names the group '" + name + "', which the pattern has not");
  return number;
}

class ReplacementParser {
 public:
  ReplacementParser(const pcre2_code* code, const std::string& text) : code_(code), text_(text) {
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &num_groups_);
  }

  std::vector<Piece> Parse() {
    pieces_.emplace_back();
    for (size_t i = 0; i < text_.size(); ++i) {
      if (text_[i] == '\\') {
        Escape(i);
      } else {
        pieces_.back().text += text_[i];
      }
    }
    return std::move(pieces_);
  }

 private:
  static bool IsDigit(char c) { return c >= '0' && c <= '9'; }
  static bool IsOctal(char c) { return c >= '0' && c <= '7'; }

  void AddGroup(int number) {
    if (number < 0 || static_cast<uint32_t>(number) > num_groups_) {
      throw RegexError("the replacement uses group " + std::to_string(number) +
                       ", the pattern has " + std::to_string(num_groups_));
    }
    pieces_.back().group = number;
    pieces_.emplace_back();
  }

  // `i` stands on the backslash and is moved to the last character used.
  void Escape(size_t& i) {
    if (++i >= text_.size()) throw RegexError("the replacement ends in a single backslash");
    const char c = text_[i];
    constexpr std::string_view kLetters = "abfnrtv\\";
    constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\";
    const size_t letter = kLetters.find(c);
    if (letter != std::string_view::npos) {
      pieces_.back().text += kMeanings[letter];
    } else if (c == 'g') {
      const size_t end = text_.find('>', i);
      if (text_.compare(i + 1, 1, "<") != 0 || end == std::string::npos) {
        throw RegexError("the replacement has \\g without <name>");
      }
      const std::string name = text_.substr(i + 2, end - i - 2);
      i = end;
      AddGroup(GroupNumber(code_, name));
    } else if (IsDigit(c)) {
      Number(i);
    } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      throw RegexError(std::string("the replacement has the unknown escape \\") + c);
    } else {
      (pieces_.back().text += '\\') += c;
    }
  }

  // \0… and three octal digits are a character, other digits a group.
  void Number(size_t& i) {
    size_t length = 1;
    const auto octal_at = [&](size_t k) { return k < text_.size() && IsOctal(text_[k]); };
    const bool three = octal_at(i) && octal_at(i + 1) && octal_at(i + 2);
    if (text_[i] == '0' || three) {
      while (length < 3 && octal_at(i + length)) ++length;
      const int value = std::stoi(text_.substr(i, length), nullptr, 8);
      if (value > 127) throw RegexError("the replacement has an octal escape beyond ASCII");
      pieces_.back().text += static_cast<char>(value);
    } else {
      if (i + 1 < text_.size() && IsDigit(text_[i + 1])) length = 2;
      AddGroup(std::stoi(text_.substr(i, length)));
    }
    i += length - 1;
  }

  const pcre2_code* code_;
  const std::string& text_;
  uint32_t num_groups_ = 0;
  std::vector<Piece> pieces_;
};

void AppendReplacement(std::string& result, const std::vector<Piece>& pieces, std::string_view text,
                       pcre2_match_data* match) {
  const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match);
  const uint32_t num_bounds = pcre2_get_ovector_count(match);
  for (const Piece& piece : pieces) {
    result += piece.text;
    if (piece.group < 0 || static_cast<uint32_t>(piece.group) >= num_bounds) continue;
    const PCRE2_SIZE begin = bounds[2 * piece.group];
    if (begin != PCRE2_UNSET) result += text.substr(begin, bounds[2 * piece.group + 1] - begin);
  }
}

// Moves a byte offset behind the code point there.
size_t NextCharacter(std::string_view text, size_t position) {
  do {
    ++position;
  } while (position < text.size() && (static_cast<unsigned char>(text[position]) & 0xC0) == 0x80);
  return position;
}

// Calls `on_match` with the group bounds of each of the first `count` matches, left to right, as Python's finditer gives
// them: an empty match may follow the match before it, but not at its own place again.
template <typename OnMatch>
void Search(const pcre2_code* code, const std::string& pattern, std::string_view text,
            int64_t count, const OnMatch& on_match) {
  const std::unique_ptr<pcre2_match_data, FreeMatch> match(
      pcre2_match_data_create_from_pattern(code, nullptr));
  const std::unique_ptr<pcre2_match_context, FreeContext> context(
      pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(context.get(), 5'000'000);
  size_t position = 0;  // where the next search begins
  uint32_t options = 0;
  while (count > 0 && position <= text.size()) {
    const int found =
        pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), position,
                    options | PCRE2_NO_UTF_CHECK, match.get(), context.get());
    if (found == PCRE2_ERROR_NOMATCH) {
      if (options == 0) break;
      options = 0;
      position = NextCharacter(text, position);
      continue;
    }
    if (found < 0)
      throw RegexError("the pattern '" + pattern + "' takes too many steps on this text");
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match.get());
    const size_t begin = bounds[0];
    const size_t end = bounds[1];
    if (begin < position || end < begin)
      throw RegexError("the pattern '" + pattern + "' matches backwards");
    on_match(match.get());
    position = end;
    options = begin == end ? PCRE2_NOTEMPTY_ATSTART | PCRE2_ANCHORED : 0;
    --count;
  }
}

}  // namespace

struct PythonRegex::Compiled {
  Code code;
  uint32_t num_groups = 0;
};

PythonRegex::PythonRegex(const std::string& pattern)
    : pattern_(pattern), compiled_(std::make_unique<Compiled>()) {
  compiled_->code = Compile(pattern);
  pcre2_pattern_info(compiled_->code.get(), PCRE2_INFO_CAPTURECOUNT, &compiled_->num_groups);
}

PythonRegex::~PythonRegex() = default;
PythonRegex::PythonRegex(PythonRegex&&) noexcept = default;
PythonRegex& PythonRegex::operator=(PythonRegex&&) noexcept = default;

std::vector<std::vector<std::string_view>> PythonRegex::FindAll(std::string_view text) const {
  std::vector<std::vector<std::string_view>> matches;
  const uint32_t groups = compiled_->num_groups;
  Search(compiled_->code.get(), pattern_, text, std::numeric_limits<int64_t>::max(),
         [&](pcre2_match_data* match) {
           const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match);
           std::vector<std::string_view>& found = matches.emplace_back();
           for (uint32_t group = groups == 0 ? 0 : 1; group <= groups; ++group) {
             const PCRE2_SIZE begin = bounds[2 * group];
             found.push_back(begin == PCRE2_UNSET
                                 ? std::string_view()
                                 : text.substr(begin, bounds[2 * group + 1] - begin));
           }
         });
  return matches;
}

std::string PythonRegex::Replace(std::string_view text, const std::string& replacement,
                                 int64_t count, size_t max_bytes) const {
  const pcre2_code* code = compiled_->code.get();
  const std::vector<Piece> pieces = ReplacementParser(code, replacement).Parse();
  std::string result;
  size_t copied = 0;  // text before is in the result
  Search(code, pattern_, text, count > 0 ? count : std::numeric_limits<int64_t>::max(),
         [&](pcre2_match_data* match) {
           const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match);
           result += text.substr(copied, bounds[0] - copied);
           AppendReplacement(result, pieces, text, match);
           if (result.size() > max_bytes) throw RegexError("the result is too long");
           copied = bounds[1];
         });
  result += text.substr(copied);
  return result;
}

std::string RegexReplace(std::string_view text, const std::string& pattern,
                         const std::string& replacement, int64_t count, size_t max_bytes) {
  return PythonRegex(pattern).Replace(text, replacement, count, max_bytes);
}

}  // namespace breakeven
