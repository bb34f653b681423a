// Tables of statistics_simulation: each function simulates studies whose truth is known and prints, as Markdown, how often
// the program's intervals hold it.
#ifndef BREAKEVEN_TESTS_BENCH_STATISTICS_SIMULATION_H_
#define BREAKEVEN_TESTS_BENCH_STATISTICS_SIMULATION_H_

#include <cstdint>
#include <cstdio>
#include <string>

#include "trainer/statistics/interval.h"

namespace breakeven {

// Share of intervals that hold the truth, and that lie above 0.
class Coverage {
 public:
  void Add(const Interval& interval, double truth, double weight = 1) {
    total_ += weight;
    if (interval.Contains(truth)) covered_ += weight;
    if (interval.low > 0) above_ += weight;
  }
  double percent() const { return 100 * covered_ / total_; }
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
