// Pure. The numbers of one metric, column by column: what comparisons compute from.
#ifndef BREAKEVEN_TRAINER_STUDY_SCORE_TABLE_H_
#define BREAKEVEN_TRAINER_STUDY_SCORE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace breakeven {

// A column is one arm (one model under one prompt); all columns stand on the same documents in the same order. More is
// better in every table: perplexities come as log-likelihoods.
struct ScoreTable {
  std::string metric;
  std::vector<std::vector<double>> columns;  // [column][document]: score, or numerator
  std::vector<double> sizes;                 // denominators: words or bytes; empty: 1 each
  std::vector<uint64_t> groups;              // number of each document's group; empty: no groups
  bool unit_interval = true;                 // scores lie in [0, 1]

  size_t num_documents() const { return columns.empty() ? 0 : columns.front().size(); }
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_SCORE_TABLE_H_
