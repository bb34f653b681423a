// Pure. Oniguruma (Ruby syntax) to PCRE2. Where the two differ:
//   \s          PCRE2's has U+180E, White_Space has not: spelled out.
//   \d \w       Onig: Nd and Alphabetic|M|Nd|Pc, outside classes with the numbers of Latin-1:
//   spelled out. \p{L}       PCRE2 10.42 has Unicode 14: what 15 and 16 added is joined to the
//   class. {n,m}+      possessive in PCRE2, repeated in Ruby; {,n} is a literal in PCRE2: refused,
//   rewritten.
//   [\s-x]      a literal hyphen in Ruby: escaped.
//   (?m) (?x)   other meanings or whitespace rules; \h \R \X \b \G, [[:x:]], [a[b]], &&: refused.
//   (?i:…)      Onig may match several characters for one (ss for ß): only ASCII letters without
//   such pairs pass.
#include <cctype>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "comm/base/error.h"
#include "data_pipeline/tokenizer/regex.h"
#include "data_pipeline/tokenizer/unicode_tables.h"

namespace breakeven {
namespace {

constexpr std::string_view kSpaceClass =
    "\\x09-\\x0D\\x20\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}"
    "\\x{3000}";

std::string RangeText(uint32_t low, uint32_t high) {
  char text[40];
  std::snprintf(text, sizeof text, low == high ? "\\x{%X}" : "\\x{%X}-\\x{%X}", low, high);
  return text;
}

bool IsCategory(std::string_view name) {
  constexpr std::string_view kNames[] = {
      "L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N",  "Nd", "Nl", "No", "P", "Pc",
      "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z",  "Zs", "Zl", "Zp"};
  for (const std::string_view known : kNames) {
    if (known == name) return true;
  }
  return false;
}

// The items of a class that stand for a general category of Unicode 16.
std::string CategoryItems(std::string_view name) {
  std::string items = "\\p{" + std::string(name) + "}";
  for (const TaggedRange& range : kAddedSince14) {
    const std::string_view category(range.category, 2);
    if (category.substr(0, name.size()) == name) items += RangeText(range.low, range.high);
  }
  return items;
}

// Outside a class Onig's \w has the six numbers of Latin-1, inside one it has not.
std::string WordItems(bool in_class) {
  return "\\p{Alphabetic}" + CategoryItems("L") + CategoryItems("M") + CategoryItems("Nd") +
         CategoryItems("Nl") + CategoryItems("Pc") +
         (in_class ? "" : "\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}");
}

class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  std::string Run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        Escape(false);
      } else if (c == '[') {
        Class();
      } else if (c == '(') {
        Group();
      } else if (c == ')') {
        if (folds_.empty()) Refuse("an unmatched )", 1);
        folding_ = folds_.back();
        folds_.pop_back();
        Copy(1);
      } else if (c == '{') {
        Braces();
      } else {
        Literal(c);
        Copy(1);
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void Refuse(const std::string& what, size_t length) const {
    throw Error(
        ErrorKind::kBadData,
        "regular expression: " + what + " (\"" + std::string(pattern_.substr(at_, length)) +
            "\" at byte " + std::to_string(at_) +
            ") is not supported: Oniguruma and PCRE2 give it different meanings. Supported: "
            "literals, . ^ $ | groups, look-around, (?i:ascii), greedy, lazy and possessive "
            "quantifiers, classes, \\s \\S \\d \\w \\p{L}-like general categories");
  }

  void Copy(size_t count) {
    out_ += pattern_.substr(at_, count);
    at_ += count;
  }

  bool Next(std::string_view text) const { return pattern_.substr(at_, text.size()) == text; }

  // Case folding of several characters at once exists in Onig only.
  void Literal(char c) {
    const char previous = previous_literal_;
    previous_literal_ = c;
    if (!folding_) return;
    if (static_cast<unsigned char>(c) >= 0x80) Refuse("a letter beyond ASCII without case", 1);
    const auto low = [](char x) {
      return static_cast<char>(std::tolower(static_cast<unsigned char>(x)));
    };
    const std::string pair = {low(previous), low(c)};
    for (const std::string_view folded : {"ss", "st", "ff", "fi", "fl"}) {
      if (pair == folded) Refuse("\"" + pair + "\" without case", 1);
    }
  }

  void Braces() {
    size_t end = at_ + 1;
    std::string first, second;
    bool comma = false;
    for (; end < pattern_.size() && pattern_[end] != '}'; ++end) {
      const char c = pattern_[end];
      if (c == ',' && !comma) {
        comma = true;
      } else if (c >= '0' && c <= '9') {
        (comma ? second : first) += c;
      } else {
        Refuse("a brace that is no quantifier", end - at_ + 1);
      }
    }
    if (end >= pattern_.size() || (first.empty() && second.empty())) {
      Refuse("a brace that is no quantifier", end - at_ + 1);
    }
    const char after = end + 1 < pattern_.size() ? pattern_[end + 1] : '\0';
    if (after == '+') Refuse("a quantifier in braces followed by +", end + 2 - at_);
    if (after == '?' && !comma) Refuse("{n}? (\"n or none\" in Ruby)", end + 2 - at_);
    out_ += "{" + (first.empty() ? "0" : first) + (comma ? "," : "") + second + "}";
    at_ = end + 1;
    previous_literal_ = '\0';
  }

  void Group() {
    folds_.push_back(folding_);
    previous_literal_ = '\0';
    if (!Next("(?")) {
      Copy(1);
      return;
    }
    for (const std::string_view head : {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>"}) {
      if (Next(head)) {
        Copy(head.size());
        return;
      }
    }
    if (Next("(?i:")) {
      folding_ = true;
      Copy(4);
      return;
    }
    Refuse("this kind of group", 4);
  }

  // \p{…} or \P{…} at at_; `name` without ^, *negated by P or ^ (both: not).
  std::string Property(bool* negated) {
    const size_t close = pattern_.find('}', at_);
    if (at_ + 2 >= pattern_.size() || pattern_[at_ + 2] != '{' || close == std::string_view::npos) {
      Refuse("a property without braces", 3);
    }
    std::string_view name = pattern_.substr(at_ + 3, close - at_ - 3);
    *negated = pattern_[at_ + 1] == 'P';
    if (!name.empty() && name[0] == '^') {
      *negated = !*negated;
      name.remove_prefix(1);
    }
    if (!IsCategory(name)) Refuse("a property other than a general category", close + 1 - at_);
    if (folding_) Refuse("a property without case", close + 1 - at_);
    at_ = close + 1;
    return CategoryItems(name);
  }

  // An escape outside (in_class false) or inside a class, where only items may stand.
  void Escape(bool in_class) {
    if (at_ + 1 >= pattern_.size()) Refuse("a backslash at the end", 1);
    previous_literal_ = '\0';
    const char c = pattern_[at_ + 1];
    const auto items = [&](const std::string& text, bool negated) {
      if (in_class && negated) Refuse("a negated set inside a class", 2);
      out_ += in_class ? text : (negated ? "[^" : "[") + text + "]";
    };
    if (c == 'p' || c == 'P') {
      bool negated = false;
      const size_t start = at_;
      const std::string text = Property(&negated);
      if (in_class && negated) {
        at_ = start;
        Refuse("a negated property inside a class", 2);
      }
      items(text, negated);
      return;
    }
    if (c == 's') {
      items(std::string(kSpaceClass), false);
    } else if (c == 'S') {
      // \S of PCRE2 lacks U+180E only, so inside a class it can be mended.
      out_ += in_class ? "\\S\\x{180E}" : "[^" + std::string(kSpaceClass) + "]";
    } else if (c == 'd' || c == 'D') {
      items(CategoryItems("Nd"), c == 'D');
    } else if (c == 'w' || c == 'W') {
      items(WordItems(in_class), c == 'W');
    } else if (c == 'x' || c == 'u') {
      CodePoint(c);
      return;
    } else if (std::string_view("nrtfve").find(c) != std::string_view::npos) {
      out_ += c == 'v' ? std::string("\\x0B") : std::string{'\\', c};
    } else if (!in_class && std::string_view("Az").find(c) != std::string_view::npos) {
      out_ += std::string{'\\', c};
    } else if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      Refuse("this escape", 2);
    } else {
      if (static_cast<unsigned char>(c) < 0x80) out_ += '\\';
      Literal(c);
      out_ += c;
    }
    at_ += 2;
  }

  void CodePoint(char kind) {
    const bool braces = kind == 'x' && at_ + 2 < pattern_.size() && pattern_[at_ + 2] == '{';
    size_t i = at_ + (braces ? 3 : 2);
    const size_t most = braces ? 8 : kind == 'u' ? 4 : 2;
    std::string digits;
    while (i < pattern_.size() && digits.size() < most &&
           std::isxdigit(static_cast<unsigned char>(pattern_[i])) != 0) {
      digits += pattern_[i++];
    }
    if (braces && (i >= pattern_.size() || pattern_[i] != '}')) Refuse("this escape", 4);
    if (digits.empty() || (kind == 'u' && digits.size() != 4)) Refuse("this escape", 4);
    const unsigned long value = std::stoul(digits, nullptr, 16);
    // \x80 to \xFF without braces is a raw byte to Onig.
    if (!braces && kind == 'x' && value >= 0x80) Refuse("a raw byte", 4);
    if (folding_) Refuse("a code point without case", 4);
    out_ += "\\x{" + digits + "}";
    at_ = i + (braces ? 1 : 0);
  }

  void Class() {
    previous_literal_ = '\0';
    const size_t start = at_;
    Copy(1);
    if (at_ < pattern_.size() && pattern_[at_] == '^') Copy(1);
    if (at_ < pattern_.size() && pattern_[at_] == ']') Refuse("a class that begins with ]", 1);
    while (at_ < pattern_.size() && pattern_[at_] != ']') {
      const char c = pattern_[at_];
      if (c == '[') Refuse("a class inside a class", 2);
      if (Next("&&")) Refuse("an intersection of classes", 2);
      if (c == '\\') {
        const bool is_set =
            at_ + 1 < pattern_.size() &&
            std::string_view("sSdDwWpP").find(pattern_[at_ + 1]) != std::string_view::npos;
        Escape(true);
        // Behind a set a hyphen is itself; behind our spelled-out items it would open a range.
        if (is_set && Next("-")) out_ += '\\';
        continue;
      }
      if (folding_ && static_cast<unsigned char>(c) >= 0x80) {
        Refuse("a letter beyond ASCII without case", 1);
      }
      Copy(1);
    }
    if (at_ >= pattern_.size()) {
      at_ = start;
      Refuse("an open class", 1);
    }
    Copy(1);
    previous_literal_ = '\0';
  }

  std::string_view pattern_;
  size_t at_ = 0;
  std::string out_;
  bool folding_ = false;
  std::vector<bool> folds_;  // folding_ outside each open group
  char previous_literal_ = '\0';
};

}  // namespace

std::string TranslateOniguruma(std::string_view pattern) { return Translator(pattern).Run(); }

std::string EscapeForRegex(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::ispunct(static_cast<unsigned char>(c)) != 0) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace breakeven
