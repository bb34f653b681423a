// Pure. Numbers in texts and tables.
#ifndef BREAKEVEN_LAUNCH_PRINT_TEXT_H_
#define BREAKEVEN_LAUNCH_PRINT_TEXT_H_

#include <cstdio>
#include <string>

namespace breakeven {

// As printf writes it; cut at 255 bytes.
std::string Print(const char* format, auto... values) {
  char text[256];
  std::snprintf(text, sizeof(text), format, values...);
  return text;
}

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_PRINT_TEXT_H_
