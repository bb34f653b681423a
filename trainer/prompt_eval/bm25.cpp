// Pure.
#include "trainer/prompt_eval/bm25.h"

#include <cmath>

#include "data_pipeline/template/unicode.h"

namespace breakeven {
namespace {

constexpr double kK1 = 1.5;
constexpr double kB = 0.75;
constexpr double kEpsilon = 0.25;

}  // namespace

std::vector<std::string> Bm25Words(std::string_view text) {
  const std::string lower = unicode::Lower(text);
  std::vector<std::string> words;
  bool in_word = false;
  for (size_t position = 0; position < lower.size();) {
    const size_t begin = position;
    const bool kept = unicode::IsAlnum(unicode::Next(lower, position));
    if (kept && !in_word) words.emplace_back();
    if (kept) words.back().append(lower, begin, position - begin);
    in_word = kept;
  }
  return words;
}

Bm25::Bm25(std::span<const std::string> texts) {
  std::vector<double> lengths;
  double total = 0;
  std::vector<std::string>
      order;  // words as they are met: the sum below must not depend on hashing
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::vector<std::string> words = Bm25Words(texts[i]);
    lengths.push_back(static_cast<double>(words.size()));
    total += lengths.back();
    for (const std::string& text : words) {
      const auto [entry, is_new] = words_.try_emplace(text);
      if (is_new) order.push_back(text);
      auto& counts = entry->second.counts;
      if (counts.empty() || counts.back().first != i) counts.emplace_back(i, 0);
      counts.back().second += 1;
    }
  }
  const auto n = static_cast<double>(texts.size());
  for (const double length : lengths) {
    length_factors_.push_back(kK1 * (1 - kB + (total == 0 ? 0 : kB * length * n / total)));
  }
  double sum = 0;
  for (const std::string& text : order) {
    Word& word = words_.at(text);
    const auto holders = static_cast<double>(word.counts.size());
    word.weight = std::log(n - holders + 0.5) - std::log(holders + 0.5);
    sum += word.weight;
  }
  for (const std::string& text : order) {
    Word& word = words_.at(text);
    if (word.weight < 0) word.weight = kEpsilon * sum / static_cast<double>(order.size());
  }
}

std::vector<double> Bm25::Scores(std::string_view query) const {
  std::vector<double> scores(length_factors_.size());
  for (const std::string& text : Bm25Words(query)) {
    const auto found = words_.find(text);
    if (found == words_.end()) continue;
    for (const auto& [i, count] : found->second.counts) {
      scores[i] += found->second.weight * count * (kK1 + 1) / (count + length_factors_[i]);
    }
  }
  return scores;
}

}  // namespace breakeven
