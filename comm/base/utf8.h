// Pure. UTF-8 by hand, where a library call per character would cost more than the work itself.
#ifndef BREAKEVEN_COMM_BASE_UTF8_H_
#define BREAKEVEN_COMM_BASE_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace breakeven {

// The byte offset of the first ill-formed sequence (Unicode 15, table 3-7: no surrogates, no
// overlong forms, nothing above U+10FFFF), or nullopt when all of `text` is well formed.
std::optional<size_t> FindInvalidUtf8(std::string_view text);

// Appends `bytes` as UTF-8, each maximal subpart of an ill-formed sequence replaced by one U+FFFD:
// the rule of WHATWG's decoder, Rust's from_utf8_lossy and Python's errors="replace".
void AppendUtf8Lossy(std::string_view bytes, std::string* out);

// The character that starts at `p` in well-formed text; moves `p` behind it.
inline uint32_t NextCodePoint(const char*& p) {
  const auto byte = [&p](int i) { return static_cast<uint32_t>(static_cast<unsigned char>(p[i])); };
  const uint32_t lead = byte(0);
  if (lead < 0x80) {
    p += 1;
    return lead;
  }
  if (lead < 0xE0) {
    const uint32_t c = (lead & 0x1F) << 6 | (byte(1) & 0x3F);
    p += 2;
    return c;
  }
  if (lead < 0xF0) {
    const uint32_t c = (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    p += 3;
    return c;
  }
  const uint32_t c =
      (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
  p += 4;
  return c;
}

// The start of the last character of well-formed, non-empty text that ends at `end`.
inline const char* PreviousCharacter(const char* end) {
  do {
    --end;
  } while ((static_cast<unsigned char>(*end) & 0xC0) == 0x80);
  return end;
}

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BASE_UTF8_H_
