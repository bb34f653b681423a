// Texts that are nearly the same, found without comparing every pair: MinHash (Broder, "On the resemblance and containment
// of documents", 1997) with locality-sensitive bands.
#ifndef BREAKEVEN_DATA_PIPELINE_NEAR_DUPLICATES_H_
#define BREAKEVEN_DATA_PIPELINE_NEAR_DUPLICATES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace breakeven {

// The hashes of all runs of kShingleWords words of a text, sorted, each once; of a shorter text all its words as one run, of
// one without words none. A word is a run of letters and digits; of scripts that are written without blanks (Chinese,
// Japanese, Thai, …) every character is one. Case is the caller's business.
using Shingles = std::vector<uint64_t>;
inline constexpr size_t kShingleWords = 3;
Shingles ShinglesOf(std::string_view text);

// Common shingles over all shingles of both; 0 where one has none.
double Jaccard(const Shingles& a, const Shingles& b);

// Shingles that stand in more than half of the texts: what a template puts into every document says nothing about two of
// them. Looked for in a sample of 1,000, spread evenly. Sorted.
Shingles CommonShingles(std::span<const Shingles* const> texts);
void TakeOut(const Shingles& common, Shingles& shingles);

// 25 bands of 5 minima: a pair of similarity 0.8 shares a band with a chance of 0.9999, one of 0.7 with 0.99, one of 0.3 with
// 0.06. What shares one is then compared exactly, so nothing is reported that is not near.
inline constexpr size_t kBands = 25;
inline constexpr size_t kMinimaOfBand = 5;
using Bands = std::array<uint64_t, kBands>;
Bands BandsOf(const Shingles& shingles);

struct SketchedText {
  const Shingles* shingles = nullptr;  // the caller's
  Bands bands{};
};

// The nearest text of `pool` for each of `texts`: its index (the lowest of equals), or nullopt where none that shares a band
// is as similar as `similarity`. The same for any number of threads.
struct Nearest {
  size_t index = 0;
  double similarity = 0;
};
std::vector<std::optional<Nearest>> FindNearest(std::span<const SketchedText> texts,
                                                std::span<const SketchedText> pool,
                                                double similarity, int num_threads);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_NEAR_DUPLICATES_H_
