// Pure.
#include "data_pipeline/near_duplicates.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <string>
#include <unordered_map>
#include <utility>

#include "comm/base/hash.h"
#include "data_pipeline/parallel.h"
#include "data_pipeline/template/unicode.h"

namespace breakeven {
namespace {

constexpr size_t kSample = 1000;
constexpr size_t kMinima = kBands * kMinimaOfBand;

// Thai to Khmer, and the scripts of East Asia but Hangul, which has blanks.
bool IsWordByItself(uint32_t c) {
  return (c >= 0x0E00 && c <= 0x0EFF) || (c >= 0x1000 && c <= 0x109F) ||
         (c >= 0x1780 && c <= 0x17FF) || (c >= 0x3040 && c <= 0x30FF) ||
         (c >= 0x3400 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x20000 && c <= 0x3FFFF);
}

std::vector<std::string_view> WordsOf(std::string_view text) {
  std::vector<std::string_view> words;
  size_t begin = 0;  // of the word that is open
  const auto close = [&](size_t end) {
    if (end > begin) words.push_back(text.substr(begin, end - begin));
  };
  for (size_t at = 0; at < text.size();) {
    const size_t here = at;
    const uint32_t c = unicode::Next(text, at);
    if (IsWordByItself(c)) {
      close(here);
      words.push_back(text.substr(here, at - here));
      begin = at;
    } else if (!unicode::IsAlnum(c)) {
      close(here);
      begin = at;
    }
  }
  close(text.size());
  return words;
}

// h → multiplier·h + shift, modulo 2⁶⁴: the order of its values is as good as a shuffle of the hashes.
struct Permutation {
  uint64_t multiplier;  // odd
  uint64_t shift;
};

std::array<Permutation, kMinima> MakePermutations() {
  std::array<Permutation, kMinima> permutations;
  for (size_t i = 0; i < kMinima; ++i) {
    const std::string number = std::to_string(i);
    permutations[i] = {Hash64("minhash multiplier " + number) | 1,
                       Hash64("minhash shift " + number)};
  }
  return permutations;
}

// For one band, the texts of a pool by the band's hash.
using BandIndex = std::vector<std::pair<uint64_t, size_t>>;

std::vector<BandIndex> IndexOf(std::span<const SketchedText> pool, int num_threads) {
  std::vector<BandIndex> index(kBands);
  ParallelFor(kBands, num_threads, [&](size_t band) {
    for (size_t i = 0; i < pool.size(); ++i) {
      if (!pool[i].shingles->empty()) index[band].emplace_back(pool[i].bands[band], i);
    }
    std::sort(index[band].begin(), index[band].end());
  });
  return index;
}

std::optional<Nearest> NearestTo(const SketchedText& text, std::span<const SketchedText> pool,
                                 const std::vector<BandIndex>& index, double similarity) {
  std::vector<size_t> candidates;
  if (text.shingles->empty()) return std::nullopt;
  for (size_t band = 0; band < kBands; ++band) {
    const std::pair<uint64_t, size_t> first{text.bands[band], 0};
    for (auto it = std::lower_bound(index[band].begin(), index[band].end(), first);
         it != index[band].end() && it->first == text.bands[band]; ++it) {
      candidates.push_back(it->second);
    }
  }
  std::sort(candidates.begin(), candidates.end());
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  std::optional<Nearest> best;
  for (const size_t candidate : candidates) {
    const double near = Jaccard(*text.shingles, *pool[candidate].shingles);
    if (near < similarity || (best.has_value() && near <= best->similarity)) continue;
    best = Nearest{candidate, near};
    if (near == 1) break;
  }
  return best;
}

}  // namespace

Shingles ShinglesOf(std::string_view text) {
  const std::vector<std::string_view> words = WordsOf(text);
  if (words.empty()) return {};
  const size_t length = std::min(kShingleWords, words.size());
  Shingles shingles;
  for (size_t i = 0; i + length <= words.size(); ++i) {
    std::string run;
    for (size_t w = i; w < i + length; ++w) (run += words[w]) += ' ';
    shingles.push_back(Hash64(run));
  }
  std::sort(shingles.begin(), shingles.end());
  shingles.erase(std::unique(shingles.begin(), shingles.end()), shingles.end());
  return shingles;
}

double Jaccard(const Shingles& a, const Shingles& b) {
  if (a.empty() || b.empty()) return 0;
  size_t common = 0;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    common += a[i] == b[j] ? 1 : 0;
    const bool first = a[i] <= b[j];
    const bool second = b[j] <= a[i];
    i += first ? 1 : 0;
    j += second ? 1 : 0;
  }
  return static_cast<double>(common) / static_cast<double>(a.size() + b.size() - common);
}

Shingles CommonShingles(std::span<const Shingles* const> texts) {
  const size_t sample = std::min(kSample, texts.size());
  std::unordered_map<uint64_t, size_t> counts;
  for (size_t i = 0; i < sample; ++i) {
    for (const uint64_t shingle : *texts[i * texts.size() / sample]) ++counts[shingle];
  }
  Shingles common;
  for (const auto& [shingle, count] : counts) {
    if (2 * count > sample && sample > 2) common.push_back(shingle);
  }
  std::sort(common.begin(), common.end());
  return common;
}

void TakeOut(const Shingles& common, Shingles& shingles) {
  std::erase_if(shingles, [&](uint64_t shingle) {
    return std::binary_search(common.begin(), common.end(), shingle);
  });
}

Bands BandsOf(const Shingles& shingles) {
  static const std::array<Permutation, kMinima> kPermutations = MakePermutations();
  std::array<uint64_t, kMinima> minima;
  for (size_t i = 0; i < kMinima; ++i) {
    const auto [multiplier, shift] = kPermutations[i];
    uint64_t least = std::numeric_limits<uint64_t>::max();
    for (const uint64_t shingle : shingles) least = std::min(least, multiplier * shingle + shift);
    minima[i] = least;
  }
  Bands bands;
  for (size_t band = 0; band < kBands; ++band) {
    bands[band] = Hash64(minima.data() + band * kMinimaOfBand, kMinimaOfBand * sizeof(uint64_t));
  }
  return bands;
}

std::vector<std::optional<Nearest>> FindNearest(std::span<const SketchedText> texts,
                                                std::span<const SketchedText> pool,
                                                double similarity, int num_threads) {
  const std::vector<BandIndex> index = IndexOf(pool, num_threads);
  std::vector<std::optional<Nearest>> nearest(texts.size());
  ParallelFor(texts.size(), num_threads,
              [&](size_t i) { nearest[i] = NearestTo(texts[i], pool, index, similarity); });
  return nearest;
}

}  // namespace breakeven
