// Pure. What is said of a time that was measured several times.
#ifndef BREAKEVEN_COMM_BASE_TIMING_H_
#define BREAKEVEN_COMM_BASE_TIMING_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace breakeven {

// Seconds of one call. Quartiles as in R's type 7; all 0 of no samples.
struct Timing {
  double median = 0;
  double min = 0;
  double max = 0;
  double lower_quartile = 0;
  double upper_quartile = 0;
  int64_t repeats = 0;    // samples that count
  int64_t discarded = 0;  // that were taken before them, to warm up
};

Timing SummariseSeconds(std::vector<double> seconds, int64_t discarded);

// "1.23 us", "45.6 ms", "7.89 s": three digits.
std::string FormatShortTime(double seconds);
// "8 B", "64 KiB", "1 GiB", "1000000 B": binary units where they are exact.
std::string FormatBytes(int64_t num_bytes);

class Stopwatch {
 public:
  double Seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BASE_TIMING_H_
