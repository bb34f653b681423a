// Pure.
#include "comm/base/utf8.h"

#include <algorithm>

#include "data_pipeline/template/unicode.h"

namespace breakeven::unicode {

size_t FindInvalidUtf8(std::string_view bytes) {
  return breakeven::FindInvalidUtf8(bytes).value_or(std::string_view::npos);
}

uint32_t Next(std::string_view text, size_t& position) {
  const auto byte = [&](size_t i) {
    return static_cast<uint32_t>(static_cast<unsigned char>(text[position + i]));
  };
  const uint32_t lead = byte(0);
  const size_t left = text.size() - position;
  if (lead >= 0xF0 && left >= 4) {
    const uint32_t c =
        ((lead & 7) << 18) | ((byte(1) & 63) << 12) | ((byte(2) & 63) << 6) | (byte(3) & 63);
    position += 4;
    return c;
  }
  if (lead >= 0xE0 && left >= 3) {
    const uint32_t c = ((lead & 15) << 12) | ((byte(1) & 63) << 6) | (byte(2) & 63);
    position += 3;
    return c;
  }
  if (lead >= 0xC0 && left >= 2) {
    const uint32_t c = ((lead & 31) << 6) | (byte(1) & 63);
    position += 2;
    return c;
  }
  position += 1;
  return lead;
}

uint32_t Previous(std::string_view text, size_t& position) {
  do {
    --position;
  } while (position > 0 && (static_cast<unsigned char>(text[position]) & 0xC0) == 0x80);
  size_t behind = position;
  return Next(text, behind);
}

void Append(std::string& text, uint32_t c) {
  if (c < 0x80) {
    text += static_cast<char>(c);
  } else if (c < 0x800) {
    text += static_cast<char>(0xC0 | (c >> 6));
    text += static_cast<char>(0x80 | (c & 63));
  } else if (c < 0x10000) {
    text += static_cast<char>(0xE0 | (c >> 12));
    text += static_cast<char>(0x80 | ((c >> 6) & 63));
    text += static_cast<char>(0x80 | (c & 63));
  } else {
    text += static_cast<char>(0xF0 | (c >> 18));
    text += static_cast<char>(0x80 | ((c >> 12) & 63));
    text += static_cast<char>(0x80 | ((c >> 6) & 63));
    text += static_cast<char>(0x80 | (c & 63));
  }
}

size_t Length(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

size_t ByteOffset(std::string_view text, size_t index) {
  size_t position = 0;
  while (index > 0 && position < text.size()) {
    Next(text, position);
    --index;
  }
  return position;
}

}  // namespace breakeven::unicode
