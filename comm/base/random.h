// Pure. Counter-based randomness: a value is a function of (seed, stream, index) alone, so neither threads, ranks nor a
// resume can change it.
#ifndef BREAKEVEN_COMM_BASE_RANDOM_H_
#define BREAKEVEN_COMM_BASE_RANDOM_H_

#include <array>
#include <cstdint>

namespace breakeven {

// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), checked against the paper's
// known-answer vectors in tests/comm/base/random_test.cpp.
std::array<uint32_t, 4> Philox(uint64_t key, uint64_t counter_low, uint64_t counter_high);

// 64 random bits for the index-th draw of a stream. Streams keep users of one seed apart: see RandomStream.
uint64_t RandomBits(uint64_t seed, uint64_t stream, uint64_t index);
// Uniform in [0, 1), 53 bits.
double RandomUniform(uint64_t seed, uint64_t stream, uint64_t index);
// Standard normal by Box-Muller on one draw.
double RandomNormal(uint64_t seed, uint64_t stream, uint64_t index);

// Who draws from a seed. Values are stored nowhere but change results: append, never renumber.
enum class RandomStream : uint64_t {
  kEpochOrder = 1,
  kInitWeights = 2,
  kSampling = 3,
  kShots = 4,
  kSplit = 5,
  kBootstrap = 6,       // units of a resample
  kBootstrapSeeds = 7,  // replicates of a resample
  kSubset = 8,          // nested training subsets of a study
  kPromptSearch = 9,    // order of a search's documents
};

// A bijection of [0, size) chosen by (seed, stream): a 6-round Feistel network on the next even power of two with
// cycle walking, O(1) memory. Throws nothing; `size` may be 0 (never call it then).
class RandomPermutation {
 public:
  RandomPermutation(uint64_t size, uint64_t seed, uint64_t stream);
  uint64_t operator()(uint64_t index) const;  // requires index < size
  uint64_t size() const { return size_; }

 private:
  uint64_t size_;
  uint64_t seed_;
  uint64_t stream_;
  int half_bits_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BASE_RANDOM_H_
