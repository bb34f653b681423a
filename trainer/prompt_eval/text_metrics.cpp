// Pure.
#include "trainer/prompt_eval/text_metrics.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <map>

#include "data_pipeline/template/unicode.h"

namespace breakeven {
namespace {

double FMeasure(double common, size_t num_predicted, size_t num_right) {
  if (common == 0) return 0;
  const double precision = common / static_cast<double>(num_predicted);
  const double recall = common / static_cast<double>(num_right);
  return 2 * precision * recall / (precision + recall);
}

std::vector<std::string> SplitAtSpace(std::string_view utf8) {
  std::vector<std::string> words;
  bool in_word = false;
  for (size_t position = 0; position < utf8.size();) {
    const size_t begin = position;
    const bool space = unicode::IsSpace(unicode::Next(utf8, position));
    if (!space && !in_word) words.emplace_back();
    if (!space) words.back().append(utf8.substr(begin, position - begin));
    in_word = !space;
  }
  return words;
}

std::vector<std::string> RougeWords(std::string_view text) {
  std::vector<std::string> words;
  bool in_word = false;
  for (const char c : unicode::Lower(text)) {
    const bool kept = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (kept && !in_word) words.emplace_back();
    if (kept) words.back() += c;
    in_word = kept;
  }
  return words;
}

}  // namespace

std::vector<std::string> SquadWords(std::string_view text) {
  std::string kept = unicode::Lower(text);
  std::erase_if(kept, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x80 && std::ispunct(byte) != 0;
  });
  std::vector<std::string> words = SplitAtSpace(kept);
  std::erase_if(
      words, [](const std::string& word) { return word == "a" || word == "an" || word == "the"; });
  return words;
}

double SquadF1(std::string_view prediction, std::string_view target) {
  const std::vector<std::string> predicted = SquadWords(prediction);
  const std::vector<std::string> right = SquadWords(target);
  if (predicted.empty() || right.empty()) return predicted.empty() && right.empty() ? 1 : 0;
  std::map<std::string_view, int64_t> left;
  for (const std::string& word : right) ++left[word];
  int64_t common = 0;
  for (const std::string& word : predicted) {
    if (const auto found = left.find(word); found != left.end() && found->second > 0) {
      --found->second;
      ++common;
    }
  }
  return FMeasure(static_cast<double>(common), predicted.size(), right.size());
}

double RougeL(std::string_view prediction, std::string_view target) {
  const std::vector<std::string> predicted = RougeWords(prediction);
  const std::vector<std::string> right = RougeWords(target);
  // Longest common subsequence, row by row.
  std::vector<int64_t> longest(right.size() + 1, 0);
  for (const std::string& word : predicted) {
    int64_t diagonal = 0;
    for (size_t j = 0; j < right.size(); ++j) {
      const int64_t above = longest[j + 1];
      longest[j + 1] = word == right[j] ? diagonal + 1 : std::max(above, longest[j]);
      diagonal = above;
    }
  }
  return FMeasure(static_cast<double>(longest.back()), predicted.size(), right.size());
}

}  // namespace breakeven
