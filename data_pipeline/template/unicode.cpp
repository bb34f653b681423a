// Pure.
#include "data_pipeline/template/unicode.h"

#include <algorithm>

#include "data_pipeline/template/unicode_tables.h"

namespace breakeven::unicode {
namespace {

Category CategoryOf(uint32_t code_point) {
  const uint32_t key = (code_point << 5) | 31;
  const uint32_t* next = std::upper_bound(kCategoryRuns, kCategoryRuns + kCategoryRunsSize, key);
  return static_cast<Category>(*(next - 1) & 31);
}

bool InRanges(const Range* ranges, size_t size, uint32_t code_point) {
  const Range* next =
      std::upper_bound(ranges, ranges + size, code_point,
                       [](uint32_t c, const Range& range) { return c < range.first; });
  return next != ranges && code_point <= (next - 1)->last;
}

// Appends the full mapping of one code point.
void AppendMapped(std::string& text, uint32_t code_point, const MappingRun* runs, size_t num_runs,
                  const Expansion* expansions, size_t num_expansions) {
  const Expansion* expansion =
      std::lower_bound(expansions, expansions + num_expansions, code_point,
                       [](const Expansion& e, uint32_t c) { return e.code_point < c; });
  if (expansion != expansions + num_expansions && expansion->code_point == code_point) {
    for (uint32_t to : expansion->to) {
      if (to != 0) Append(text, to);
    }
    return;
  }
  const MappingRun* next =
      std::upper_bound(runs, runs + num_runs, code_point,
                       [](uint32_t c, const MappingRun& run) { return c < run.first; });
  if (next != runs) {
    const MappingRun& run = *(next - 1);
    if (code_point <= run.last && (code_point - run.first) % run.stride == 0) {
      code_point = static_cast<uint32_t>(static_cast<int32_t>(code_point) + run.delta);
    }
  }
  Append(text, code_point);
}

void AppendUpper(std::string& text, uint32_t code_point) {
  if (code_point < 0x80) {
    text +=
        static_cast<char>(code_point >= 'a' && code_point <= 'z' ? code_point - 32 : code_point);
    return;
  }
  AppendMapped(text, code_point, kUpperRuns, kUpperRunsSize, kUpperExpansions,
               kUpperExpansionsSize);
}

void AppendTitle(std::string& text, uint32_t code_point) {
  AppendMapped(text, code_point, kTitleRuns, kTitleRunsSize, kTitleExpansions,
               kTitleExpansionsSize);
}

bool IsCaseIgnorable(uint32_t c) {
  const Category category = CategoryOf(c);
  if (category == kMn || category == kMe || category == kCf || category == kLm || category == kSk)
    return true;
  constexpr uint32_t kInsideWords[] = {0x27,   0x2E,   0x3A,   0xB7,   0x387,  0x55F,
                                       0x5F4,  0x2018, 0x2019, 0x2024, 0x2027, 0xFE13,
                                       0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};
  return std::find(std::begin(kInsideWords), std::end(kInsideWords), c) != std::end(kInsideWords);
}

// Σ at byte `begin`, followed at `end`: final when a cased letter precedes and none follows,
// ignorables aside.
bool IsFinalSigma(std::string_view text, size_t begin, size_t end) {
  bool cased_before = false;
  while (begin > 0) {
    const uint32_t c = Previous(text, begin);
    if (IsCaseIgnorable(c)) continue;
    cased_before = IsCased(c);
    break;
  }
  if (!cased_before) return false;
  while (end < text.size()) {
    const uint32_t c = Next(text, end);
    if (!IsCaseIgnorable(c)) return !IsCased(c);
  }
  return true;
}

constexpr uint32_t kCapitalSigma = 0x3A3;
constexpr uint32_t kSigma = 0x3C3;
constexpr uint32_t kFinalSigma = 0x3C2;

// The code point at [begin, end) of text, lowered in its context.
void AppendLower(std::string& result, std::string_view text, uint32_t code_point, size_t begin,
                 size_t end) {
  if (code_point < 0x80) {
    result +=
        static_cast<char>(code_point >= 'A' && code_point <= 'Z' ? code_point + 32 : code_point);
  } else if (code_point == kCapitalSigma) {
    Append(result, IsFinalSigma(text, begin, end) ? kFinalSigma : kSigma);
  } else {
    AppendMapped(result, code_point, kLowerRuns, kLowerRunsSize, kLowerExpansions,
                 kLowerExpansionsSize);
  }
}

}  // namespace

bool IsSpace(uint32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
  return InRanges(kSpace, kSpaceSize, c);
}

bool IsAlpha(uint32_t c) {
  const Category category = CategoryOf(c);
  return category >= kLu && category <= kLo;
}
bool IsDecimal(uint32_t c) { return CategoryOf(c) == kNd; }
// Decimals come in runs that begin with a zero.
int DigitValue(uint32_t c) {
  const uint32_t* next =
      std::upper_bound(kCategoryRuns, kCategoryRuns + kCategoryRunsSize, (c << 5) | 31);
  return static_cast<int>((c - (*(next - 1) >> 5)) % 10);
}
bool IsDigit(uint32_t c) { return IsDecimal(c) || InRanges(kOtherDigit, kOtherDigitSize, c); }
bool IsNumeric(uint32_t c) {
  const Category category = CategoryOf(c);
  return (category >= kNd && category <= kNo) || InRanges(kOtherNumeric, kOtherNumericSize, c);
}
bool IsLower(uint32_t c) {
  return CategoryOf(c) == kLl || InRanges(kOtherLowercase, kOtherLowercaseSize, c);
}
bool IsUpper(uint32_t c) {
  return CategoryOf(c) == kLu || InRanges(kOtherUppercase, kOtherUppercaseSize, c);
}
bool IsTitle(uint32_t c) { return CategoryOf(c) == kLt; }
bool IsCased(uint32_t c) { return IsLower(c) || IsUpper(c) || IsTitle(c); }

bool IsPrintable(uint32_t c) {
  if (c == ' ') return true;
  const Category category = CategoryOf(c);
  return category != kCn && category < kZs;
}

bool IsIdentifierStart(uint32_t c) {
  const Category category = CategoryOf(c);
  const bool usual = c == '_' || (category >= kLu && category <= kLo) || category == kNl;
  return usual != InRanges(kIdentifierStartFlips, kIdentifierStartFlipsSize, c);
}
bool IsIdentifierPart(uint32_t c) {
  const Category category = CategoryOf(c);
  const bool usual = c == '_' || (category >= kLu && category <= kMc) || category == kNd ||
                     category == kNl || category == kPc;
  return usual != InRanges(kIdentifierPartFlips, kIdentifierPartFlipsSize, c);
}

std::string Lower(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t position = 0; position < text.size();) {
    const size_t begin = position;
    const uint32_t c = Next(text, position);
    AppendLower(result, text, c, begin, position);
  }
  return result;
}

std::string Upper(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t position = 0; position < text.size();) AppendUpper(result, Next(text, position));
  return result;
}

std::string Title(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  bool after_cased = false;
  for (size_t position = 0; position < text.size();) {
    const size_t begin = position;
    const uint32_t c = Next(text, position);
    if (after_cased) {
      AppendLower(result, text, c, begin, position);
    } else {
      AppendTitle(result, c);
    }
    after_cased = IsCased(c);
  }
  return result;
}

std::string Capitalize(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t position = 0; position < text.size();) {
    const size_t begin = position;
    const uint32_t c = Next(text, position);
    if (begin == 0) {
      AppendTitle(result, c);
    } else {
      AppendLower(result, text, c, begin, position);
    }
  }
  return result;
}

std::string SwapCase(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t position = 0; position < text.size();) {
    const size_t begin = position;
    const uint32_t c = Next(text, position);
    if (IsUpper(c)) {
      AppendLower(result, text, c, begin, position);
    } else if (IsLower(c)) {
      AppendUpper(result, c);
    } else {
      Append(result, c);
    }
  }
  return result;
}

std::string_view StripLeft(std::string_view text) {
  size_t position = 0;
  while (position < text.size()) {
    size_t behind = position;
    if (!IsSpace(Next(text, behind))) break;
    position = behind;
  }
  return text.substr(position);
}

std::string_view StripRight(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t before = end;
    if (!IsSpace(Previous(text, before))) break;
    end = before;
  }
  return text.substr(0, end);
}

}  // namespace breakeven::unicode
