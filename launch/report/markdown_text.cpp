// Pure.
#include "launch/report/markdown_text.h"

#include <string_view>

namespace breakeven {

std::string Plain(const std::string& text) {
  std::string plain;
  for (const char c : text) {
    if (plain.size() >= 200 && (static_cast<unsigned char>(c) & 0xC0) != 0x80) return plain + "…";
    if (c == '\n' || c == '\r' || c == '\t') {
      plain += ' ';
    } else if (c == '<') {
      plain += "&lt;";
    } else {
      if (std::string_view("|\\`*_[]").find(c) != std::string_view::npos) plain += '\\';
      plain += c;
    }
  }
  return plain;
}

}  // namespace breakeven
