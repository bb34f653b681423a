// Pure. The tables behind unicode.h, written by make_unicode_tables.py.
#ifndef BREAKEVEN_DATA_PIPELINE_TEMPLATE_UNICODE_TABLES_H_
#define BREAKEVEN_DATA_PIPELINE_TEMPLATE_UNICODE_TABLES_H_

#include <cstddef>
#include <cstdint>

namespace breakeven::unicode {

// In the order of CATEGORIES in make_unicode_tables.py.
enum Category : uint32_t {
  kCn,
  kLu,
  kLl,
  kLt,
  kLm,
  kLo,
  kMn,
  kMc,
  kMe,
  kNd,
  kNl,
  kNo,
  kPc,
  kPd,
  kPs,
  kPe,
  kPi,
  kPf,
  kPo,
  kSm,
  kSc,
  kSk,
  kSo,
  kZs,
  kZl,
  kZp,
  kCc,
  kCf,
  kCs,
  kCo
};

// Every stride-th code point of [first, last] maps to itself + delta.
struct MappingRun {
  uint32_t first, last, stride;
  int32_t delta;
};
struct Expansion {
  uint32_t code_point;
  uint32_t to[3];  // 0 = none
};
struct Range {
  uint32_t first, last;
};

// (first code point << 5) | category; a run ends where the next begins.
extern const uint32_t kCategoryRuns[];
extern const size_t kCategoryRunsSize;
extern const MappingRun kLowerRuns[], kUpperRuns[], kTitleRuns[];
extern const size_t kLowerRunsSize, kUpperRunsSize, kTitleRunsSize;
extern const Expansion kLowerExpansions[], kUpperExpansions[], kTitleExpansions[];
extern const size_t kLowerExpansionsSize, kUpperExpansionsSize, kTitleExpansionsSize;
// What the property has beyond its category (Ll, Lu, Nd, N*).
extern const Range kOtherLowercase[], kOtherUppercase[], kOtherDigit[], kOtherNumeric[];
extern const size_t kOtherLowercaseSize, kOtherUppercaseSize, kOtherDigitSize, kOtherNumericSize;
// Where identifiers differ from what their categories say.
extern const Range kIdentifierStartFlips[], kIdentifierPartFlips[];
extern const size_t kIdentifierStartFlipsSize, kIdentifierPartFlipsSize;
extern const Range kSpace[];
extern const size_t kSpaceSize;

}  // namespace breakeven::unicode

#endif  // BREAKEVEN_DATA_PIPELINE_TEMPLATE_UNICODE_TABLES_H_
