// Pure.
#include "comm/base/random.h"

#include <cmath>
#include <numbers>
#include <string>

#include "comm/base/error.h"

namespace breakeven {
namespace {

constexpr uint32_t kMultiplier0 = 0xD2511F53u;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57u;
constexpr uint32_t kWeyl0 = 0x9E3779B9u;  // golden ratio
constexpr uint32_t kWeyl1 = 0xBB67AE85u;  // sqrt(3) - 1
constexpr int kPhiloxRounds = 10;
constexpr int kFeistelRounds = 6;

// Keeps a permutation's draws apart from RandomBits on the same stream.
constexpr uint64_t kPermutationBit = uint64_t{1} << 63;

uint64_t Join(uint32_t low, uint32_t high) { return (static_cast<uint64_t>(high) << 32) | low; }

double ToUnitInterval(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1.0p-53; }

}  // namespace

std::array<uint32_t, 4> Philox(uint64_t key, uint64_t counter_low, uint64_t counter_high) {
  std::array<uint32_t, 4> c = {
      static_cast<uint32_t>(counter_low), static_cast<uint32_t>(counter_low >> 32),
      static_cast<uint32_t>(counter_high), static_cast<uint32_t>(counter_high >> 32)};
  uint32_t key0 = static_cast<uint32_t>(key);
  uint32_t key1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const uint64_t product0 = static_cast<uint64_t>(kMultiplier0) * c[0];
    const uint64_t product1 = static_cast<uint64_t>(kMultiplier1) * c[2];
    c = {static_cast<uint32_t>(product1 >> 32) ^ c[1] ^ key0, static_cast<uint32_t>(product1),
         static_cast<uint32_t>(product0 >> 32) ^ c[3] ^ key1, static_cast<uint32_t>(product0)};
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return c;
}

uint64_t RandomBits(uint64_t seed, uint64_t stream, uint64_t index) {
  const std::array<uint32_t, 4> draw = Philox(seed, index, stream);
  return Join(draw[0], draw[1]);
}

double RandomUniform(uint64_t seed, uint64_t stream, uint64_t index) {
  return ToUnitInterval(RandomBits(seed, stream, index));
}

double RandomNormal(uint64_t seed, uint64_t stream, uint64_t index) {
  const std::array<uint32_t, 4> draw = Philox(seed, index, stream);
  const double radius = 1.0 - ToUnitInterval(Join(draw[0], draw[1]));  // (0, 1]: log is finite
  const double angle = ToUnitInterval(Join(draw[2], draw[3]));
  return std::sqrt(-2.0 * std::log(radius)) * std::cos(2.0 * std::numbers::pi * angle);
}

RandomPermutation::RandomPermutation(uint64_t size, uint64_t seed, uint64_t stream)
    : size_(size), seed_(seed), stream_(stream), half_bits_(1) {
  while (half_bits_ < 32 && (uint64_t{1} << (2 * half_bits_)) < size) ++half_bits_;
}

uint64_t RandomPermutation::operator()(uint64_t index) const {
  BE_CHECK(index < size_, "index " + std::to_string(index) + " of " + std::to_string(size_));
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  // The domain is less than 4 × size, so the walk back into [0, size) takes fewer than 4 turns on
  // average.
  do {
    uint64_t left = index >> half_bits_;
    uint64_t right = index & mask;
    for (uint64_t round = 0; round < kFeistelRounds; ++round) {
      const uint32_t noise = Philox(seed_, (round << 32) | right, stream_ | kPermutationBit)[0];
      const uint64_t next = left ^ (noise & mask);
      left = right;
      right = next;
    }
    index = (left << half_bits_) | right;
  } while (index >= size_);
  return index;
}

}  // namespace breakeven
