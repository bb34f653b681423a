// Pure.
#include "comm/base/utf8.h"

#include <cstring>

namespace breakeven {
namespace {

// Length of the well-formed character at text[i], 0 when it is ill formed. *subpart: how many bytes
// the maximal subpart of the ill-formed sequence has (at least 1).
size_t CharacterLength(std::string_view text, size_t i, size_t* subpart) {
  const auto byte = [&](size_t k) {
    return i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0u;
  };
  const unsigned lead = byte(0);
  *subpart = 1;
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // Only the second byte's range depends on the lead: it keeps out overlong forms, surrogates and
  // what is too large.
  const unsigned low = lead == 0xE0 ? 0xA0u : lead == 0xF0 ? 0x90u : 0x80u;
  const unsigned high = lead == 0xED ? 0x9Fu : lead == 0xF4 ? 0x8Fu : 0xBFu;
  if (byte(1) < low || byte(1) > high) return 0;
  for (size_t k = 2; k < length; ++k) {
    if ((byte(k) & 0xC0) != 0x80) {
      *subpart = k;
      return 0;
    }
  }
  return length;
}

// Index of the first byte at or after i that is not ASCII.
size_t SkipAscii(std::string_view text, size_t i) {
  while (i + 8 <= text.size()) {
    uint64_t word;
    std::memcpy(&word, text.data() + i, sizeof word);
    if ((word & 0x8080808080808080ull) != 0) break;
    i += 8;
  }
  while (i < text.size() && static_cast<unsigned char>(text[i]) < 0x80) ++i;
  return i;
}

}  // namespace

std::optional<size_t> FindInvalidUtf8(std::string_view text) {
  size_t subpart = 0;
  for (size_t i = SkipAscii(text, 0); i < text.size(); i = SkipAscii(text, i)) {
    const size_t length = CharacterLength(text, i, &subpart);
    if (length == 0) return i;
    i += length;
  }
  return std::nullopt;
}

void AppendUtf8Lossy(std::string_view bytes, std::string* out) {
  size_t good = 0;  // start of the well-formed run that is not copied yet
  for (size_t i = SkipAscii(bytes, 0); i < bytes.size(); i = SkipAscii(bytes, i)) {
    size_t subpart = 0;
    const size_t length = CharacterLength(bytes, i, &subpart);
    if (length > 0) {
      i += length;
      continue;
    }
    out->append(bytes.substr(good, i - good));
    out->append("\xEF\xBF\xBD");
    i += subpart;
    good = i;
  }
  out->append(bytes.substr(good));
}

}  // namespace breakeven
