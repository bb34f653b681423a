// statistics_simulation [STUDIES]: measures what the statistics of a verdict promise. Markdown on standard output; the
// tables of trainer/statistics/README.md are its. STUDIES per row, default 2000; 200 for a glance.
#include <cstdlib>
#include <iostream>

#include "tests/bench/statistics/simulation.h"

int main(int argc, char** argv) {
  const int64_t studies = argc > 1 ? std::atoll(argv[1]) : 2000;
  if (studies < 1) {
    std::cerr << "usage: statistics_simulation [STUDIES]\n";
    return 64;
  }
  breakeven::HitsTable(studies);
  breakeven::GroupsTable(studies);
  breakeven::FractionsTable(studies);
  breakeven::SeedsTable(studies);
  breakeven::BreakEvenTables(studies);
  breakeven::PlantedTable(studies);
  return 0;
}
