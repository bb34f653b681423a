// Pure.
#include "data_pipeline/tokenizer/scanner.h"

#include "comm/base/utf8.h"

namespace breakeven {
namespace {

constexpr uint8_t kNotOther = kLetter | kNumber | kSpace;

// The length of a contraction's letters at p (behind the apostrophe): s t m d re ve ll; 0 when
// there is none.
int Contraction(const char* p, const char* end) {
  if (p == end) return 0;
  const char c = p[0];
  if (c == 's' || c == 't' || c == 'm' || c == 'd') return 1;
  if (end - p < 2) return 0;
  if ((c == 'r' || c == 'v') && p[1] == 'e') return 2;
  return c == 'l' && p[1] == 'l' ? 2 : 0;
}

// The same without case; U+017F (long s, C5 BF) folds to s.
int FoldedContraction(const char* p, const char* end) {
  if (p == end) return 0;
  const auto low = [](char c) { return static_cast<char>(c | 0x20); };
  const char c = low(p[0]);
  if (c == 's' || c == 't' || c == 'm' || c == 'd') return 1;
  if (end - p < 2) return 0;
  if (p[0] == '\xC5' && p[1] == '\xBF') return 2;
  if ((c == 'r' || c == 'v') && low(p[1]) == 'e') return 2;
  return c == 'l' && low(p[1]) == 'l' ? 2 : 0;
}

}  // namespace

std::optional<Scanner::Kind> Scanner::Find(std::string_view pattern) {
  if (pattern == kGpt2Pattern) return Kind::kGpt2;
  if (pattern == kLlama3Pattern) return Kind::kLlama3;
  if (pattern == kQwen2Pattern) return Kind::kQwen2;
  return std::nullopt;
}

uint8_t Scanner::WideKindsAt(const char* p, const char** next) const {
  const uint32_t c = NextCodePoint(p);
  *next = p;
  return table_.Kinds(c);
}

template <bool want>
const char* Scanner::Run(const char* p, const char* end, uint8_t mask) const {
  while (p < end) {
    const char* next = nullptr;
    if (((KindsAt(p, &next) & mask) != 0) != want) break;
    p = next;
  }
  return p;
}

// The end of the run of white space at p; *last: where its last character starts; *after_newline:
// behind its last \r or \n, nullptr when it has none.
const char* Scanner::Spaces(const char* p, const char* end, const char** last,
                            const char** after_newline) const {
  while (p < end) {
    const char* next = nullptr;
    const uint8_t kinds = KindsAt(p, &next);
    if ((kinds & kSpace) == 0) break;
    if ((kinds & kNewline) != 0) *after_newline = next;
    *last = p;
    p = next;
  }
  return p;
}

const char* Scanner::Gpt2(const char* p, const char* end) const {
  if (*p == '\'') {
    if (const int length = Contraction(p + 1, end); length > 0) return p + 1 + length;
  }
  const char* word = p;
  if (*p == ' ' && p + 1 < end)
    ++word;  // " ?": the space belongs to the word unless more space follows
  const char* next = nullptr;
  const uint8_t kinds = KindsAt(word, &next);
  if ((kinds & kLetter) != 0) return Run<true>(next, end, kLetter);
  if ((kinds & kNumber) != 0) return Run<true>(next, end, kNumber);
  if ((kinds & kSpace) == 0) return Run<false>(next, end, kNotOther);
  const char* last = p;
  const char* after_newline = nullptr;
  const char* space_end = Spaces(p, end, &last, &after_newline);
  // \s+(?!\S): all of it at the end of the text, else all but the last; that last one alone where
  // there is one only.
  return space_end == end || last == p ? space_end : last;
}

const char* Scanner::Tiktoken(const char* p, const char* end, int max_digits) const {
  if (*p == '\'') {
    if (const int length = FoldedContraction(p + 1, end); length > 0) return p + 1 + length;
  }
  const char* next = nullptr;
  const uint8_t kinds = KindsAt(p, &next);
  if ((kinds & kLetter) != 0) return Run<true>(next, end, kLetter);
  if ((kinds & kNumber) != 0) {
    for (int digits = 1; digits < max_digits && next < end; ++digits) {
      const char* after = nullptr;
      if ((KindsAt(next, &after) & kNumber) == 0) break;
      next = after;
    }
    return next;
  }
  if ((kinds & kNewline) == 0 && next < end) {  // any one character may lead a word
    const char* after = nullptr;
    const uint8_t second = KindsAt(next, &after);
    if ((second & kLetter) != 0) return Run<true>(after, end, kLetter);
    if (*p == ' ' && (second & kNotOther) == 0) {
      return Run<true>(Run<false>(after, end, kNotOther), end, kNewline);
    }
  }
  if ((kinds & kSpace) == 0) return Run<true>(Run<false>(next, end, kNotOther), end, kNewline);
  const char* last = p;
  const char* after_newline = nullptr;
  const char* space_end = Spaces(p, end, &last, &after_newline);
  if (after_newline != nullptr)
    return after_newline;  // \s*[\r\n]+ goes to the last newline of the run
  return space_end == end || last == p ? space_end : last;
}

}  // namespace breakeven
