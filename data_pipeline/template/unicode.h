// Pure. UTF-8, and code points as Python's str sees them (Unicode 14). Strings handed in are valid
// UTF-8 unless said.
#ifndef BREAKEVEN_DATA_PIPELINE_TEMPLATE_UNICODE_H_
#define BREAKEVEN_DATA_PIPELINE_TEMPLATE_UNICODE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace breakeven::unicode {

// Byte offset of the first byte that does not belong to a well-formed sequence (surrogates and
// overlong forms are not well-formed), or npos. Takes any bytes.
size_t FindInvalidUtf8(std::string_view bytes);
// Decodes the code point at `position` and moves it behind.
uint32_t Next(std::string_view text, size_t& position);
// Moves `position` (> 0) back to the start of the code point before it, which it decodes.
uint32_t Previous(std::string_view text, size_t& position);
void Append(std::string& text, uint32_t code_point);
size_t Length(std::string_view text);  // code points
// Byte offset of the index-th code point; text.size() when there are fewer.
size_t ByteOffset(std::string_view text, size_t index);

bool IsSpace(uint32_t code_point);
bool IsAlpha(uint32_t code_point);
bool IsDecimal(uint32_t code_point);
// 0 to 9; of a decimal only.
int DigitValue(uint32_t code_point);
bool IsDigit(uint32_t code_point);
bool IsNumeric(uint32_t code_point);
bool IsLower(uint32_t code_point);
bool IsUpper(uint32_t code_point);
bool IsTitle(uint32_t code_point);
bool IsCased(uint32_t code_point);
bool IsPrintable(uint32_t code_point);
bool IsIdentifierStart(uint32_t code_point);
bool IsIdentifierPart(uint32_t code_point);
inline bool IsAlnum(uint32_t code_point) { return IsAlpha(code_point) || IsNumeric(code_point); }
inline bool IsLineBreak(uint32_t c) {  // where str.splitlines cuts
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

// Full case mappings, also the one-to-many ones and the final sigma.
std::string Lower(std::string_view text);
std::string Upper(std::string_view text);
std::string Title(std::string_view text);       // str.title
std::string Capitalize(std::string_view text);  // str.capitalize
std::string SwapCase(std::string_view text);

// Without leading and trailing white space.
std::string_view StripLeft(std::string_view text);
std::string_view StripRight(std::string_view text);
inline std::string_view Strip(std::string_view text) { return StripLeft(StripRight(text)); }

}  // namespace breakeven::unicode

#endif  // BREAKEVEN_DATA_PIPELINE_TEMPLATE_UNICODE_H_
