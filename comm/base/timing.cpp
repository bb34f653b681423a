// Pure.
#include "comm/base/timing.h"

#include <algorithm>
#include <cstdio>

namespace breakeven {
namespace {

// Of sorted values, linear between neighbours.
double Quantile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

Timing SummariseSeconds(std::vector<double> seconds, int64_t discarded) {
  Timing timing;
  timing.discarded = discarded;
  timing.repeats = static_cast<int64_t>(seconds.size());
  if (seconds.empty()) return timing;
  std::sort(seconds.begin(), seconds.end());
  timing.min = seconds.front();
  timing.max = seconds.back();
  timing.median = Quantile(seconds, 0.5);
  timing.lower_quartile = Quantile(seconds, 0.25);
  timing.upper_quartile = Quantile(seconds, 0.75);
  return timing;
}

std::string FormatShortTime(double seconds) {
  static constexpr const char* kUnits[] = {"ns", "us", "ms", "s"};
  double value = seconds * 1e9;
  int unit = 0;
  while (unit < 3 && value >= 999.5) {
    value /= 1000;
    ++unit;
  }
  const int digits = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  char text[32];
  std::snprintf(text, sizeof(text), "%.*f %s", digits, value, kUnits[unit]);
  return text;
}

std::string FormatBytes(int64_t num_bytes) {
  static constexpr const char* kUnits[] = {" B", " KiB", " MiB", " GiB", " TiB"};
  int unit = 0;
  while (unit < 4 && num_bytes > 0 && num_bytes % 1024 == 0) {
    num_bytes /= 1024;
    ++unit;
  }
  return std::to_string(num_bytes) + kUnits[unit];
}

}  // namespace breakeven
