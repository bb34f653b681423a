// Pure.
#include "trainer/prompt_eval/python_random.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <string>
#include <unordered_set>

#include "comm/base/error.h"

namespace breakeven {

PythonRandom::PythonRandom(int64_t seed) {
  const uint64_t magnitude =
      seed < 0 ? 0 - static_cast<uint64_t>(seed) : static_cast<uint64_t>(seed);
  std::vector<uint32_t> key = {static_cast<uint32_t>(magnitude)};
  if ((magnitude >> 32) != 0) key.push_back(static_cast<uint32_t>(magnitude >> 32));
  InitByArray(key);
}

void PythonRandom::InitByValue(uint32_t value) {
  state_[0] = value;
  for (uint32_t i = 1; i < kStateSize; ++i) {
    state_[i] = 1812433253U * (state_[i - 1] ^ (state_[i - 1] >> 30)) + i;
  }
  position_ = kStateSize;
}

void PythonRandom::InitByArray(const std::vector<uint32_t>& key) {
  InitByValue(19650218U);
  size_t i = 1;
  const auto wrap = [&] {
    if (++i < kStateSize) return;
    state_[0] = state_[kStateSize - 1];
    i = 1;
  };
  size_t j = 0;
  for (size_t k = std::max<size_t>(kStateSize, key.size()); k > 0; --k) {
    const uint32_t mixed = (state_[i - 1] ^ (state_[i - 1] >> 30)) * 1664525U;
    state_[i] = (state_[i] ^ mixed) + key[j] + static_cast<uint32_t>(j);
    wrap();
    j = (j + 1) % key.size();
  }
  for (size_t k = kStateSize - 1; k > 0; --k) {
    const uint32_t mixed = (state_[i - 1] ^ (state_[i - 1] >> 30)) * 1566083941U;
    state_[i] = (state_[i] ^ mixed) - static_cast<uint32_t>(i);
    wrap();
  }
  state_[0] = 0x80000000U;
}

void PythonRandom::Refill() {
  constexpr int kMiddle = 397;
  for (int i = 0; i < kStateSize; ++i) {
    const uint32_t joined =
        (state_[i] & 0x80000000U) | (state_[(i + 1) % kStateSize] & 0x7fffffffU);
    const uint32_t twist = (joined & 1U) != 0 ? 0x9908b0dfU : 0U;
    state_[i] = state_[(i + kMiddle) % kStateSize] ^ (joined >> 1) ^ twist;
  }
  position_ = 0;
}

uint32_t PythonRandom::NextUint32() {
  if (position_ == kStateSize) Refill();
  uint32_t word = state_[position_++];
  word ^= word >> 11;
  word ^= (word << 7) & 0x9d2c5680U;
  word ^= (word << 15) & 0xefc60000U;
  return word ^ (word >> 18);
}

uint32_t PythonRandom::Below(uint32_t size) {
  BE_CHECK(size > 0, "Below(0)");
  const int bits = std::bit_width(size);
  uint32_t draw = RandomBits(bits);
  while (draw >= size) draw = RandomBits(bits);
  return draw;
}

std::vector<int64_t> PythonRandom::Sample(int64_t size, int64_t count) {
  BE_CHECK(count >= 0 && count <= size && size < (int64_t{1} << 32),
           std::to_string(count) + " of " + std::to_string(size));
  // CPython takes the list where a set of `count` would be bigger: 4^ceil(log4(3·count)) beyond 21.
  int64_t set_size = 21;
  if (count > 5) {
    int64_t power = 1;
    while (power < 3 * count) power *= 4;
    set_size += power;
  }
  std::vector<int64_t> result(count);
  if (size <= set_size) {
    std::vector<int64_t> pool(size);
    std::iota(pool.begin(), pool.end(), 0);
    for (int64_t i = 0; i < count; ++i) {
      const uint32_t j = Below(static_cast<uint32_t>(size - i));
      result[i] = pool[j];
      pool[j] = pool[size - i - 1];
    }
    return result;
  }
  std::unordered_set<int64_t> seen;
  for (int64_t i = 0; i < count; ++i) {
    int64_t draw = Below(static_cast<uint32_t>(size));
    while (!seen.insert(draw).second) draw = Below(static_cast<uint32_t>(size));
    result[i] = draw;
  }
  return result;
}

}  // namespace breakeven
