// Tables of statistics_simulation: each function simulates studies whose truth is known and prints, as Markdown, how often
// the program's intervals hold it.
#ifndef BREAKEVEN_TESTS_BENCH_STATISTICS_SIMULATION_H_
#define BREAKEVEN_TESTS_BENCH_STATISTICS_SIMULATION_H_

#include <cstdint>
#include <cstdio>
#include <string>

#include "trainer/statistics/interval.h"

namespace breakeven {

inline constexpr double kConfidence = 0.95;
inline constexpr int64_t kResamples = 1000;
inline constexpr int64_t kDocuments[] = {50, 200, 1000};

// A document is won, lost or the same: differs with chance ψ, and wins with (ψ + δ) / 2.
inline double Difference(double uniform, double discordance, double effect) {
  const double won = (discordance + effect) / 2;
  return uniform < won ? 1 : uniform < discordance ? -1 : 0;
}

// Share of intervals that hold the truth, and that lie above 0.
class Coverage {
 public:
  void Add(const Interval& interval, double truth, double weight = 1) {
    total_ += weight;
    if (interval.Contains(truth)) covered_ += weight;
    if (interval.low > 0) above_ += weight;
  }
  double percent() const { return 100 * covered_ / total_; }
  std::string text() const {
    char text[16];
    std::snprintf(text, sizeof(text), "%.1f", percent());
    return text;
  }
  double above_percent() const { return 100 * above_ / total_; }

 private:
  double total_ = 0;
  double covered_ = 0;
  double above_ = 0;
};

void HitsTable(int64_t studies);
void GroupsTable(int64_t studies);
void FractionsTable(int64_t studies);
void SeedsTable(int64_t studies);
void BreakEvenTables(int64_t studies);
void PlantedTable(int64_t studies);

}  // namespace breakeven

#endif  // BREAKEVEN_TESTS_BENCH_STATISTICS_SIMULATION_H_
