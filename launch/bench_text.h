// Pure. Lines of the tables that `breakeven bench` prints.
#ifndef BREAKEVEN_LAUNCH_BENCH_TEXT_H_
#define BREAKEVEN_LAUNCH_BENCH_TEXT_H_

#include <cstdio>
#include <string>

namespace breakeven {

// As printf writes it; cut at 255 bytes.
std::string Line(const char* format, auto... values) {
  char line[256];
  std::snprintf(line, sizeof(line), format, values...);
  return line;
}

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_BENCH_TEXT_H_
