// Pure. How alike texts are by their words: Okapi BM25 (Robertson et al. 1994) as the package rank_bm25 computes it.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_BM25_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_BM25_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace breakeven {

// Runs of letters and digits (Unicode), in lower case.
std::vector<std::string> Bm25Words(std::string_view text);

// k1 = 1.5, b = 0.75; a word that stands in more than half of the texts, whose weight would be negative, has a quarter of
// the mean weight instead.
class Bm25 {
 public:
  explicit Bm25(std::span<const std::string> texts);

  // Of `query` against each text.
  std::vector<double> Scores(std::string_view query) const;

 private:
  struct Word {
    double weight = 0;
    std::vector<std::pair<size_t, double>> counts;  // text, how often
  };
  std::unordered_map<std::string, Word> words_;
  std::vector<double> length_factors_;  // k1 (1 − b + b length / mean length) of each text
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_BM25_H_
