// Pure. CPython's random.Random, for few-shot draws that equal lm-evaluation-harness's. Not a
// general source of randomness: that is comm/base/random.h.
//
// MT19937: Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 8(1), 1998, with the 2002
// initialisation by array. std::mt19937 has the same core, but seeds differently, and the
// standard's distributions are not portable.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_PYTHON_RANDOM_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_PYTHON_RANDOM_H_

#include <array>
#include <cstdint>
#include <vector>

namespace breakeven {

class PythonRandom {
 public:
  // random.Random(seed) for an integer seed; the sign is dropped, as CPython does.
  explicit PythonRandom(int64_t seed);

  uint32_t NextUint32();
  // getrandbits(bits), 1 <= bits <= 32.
  uint32_t RandomBits(int bits) { return NextUint32() >> (32 - bits); }
  // randrange(size) for 1 <= size < 2^32.
  uint32_t Below(uint32_t size);
  // sample(range(size), count): `count` different indices in drawn order. Requires count <= size.
  std::vector<int64_t> Sample(int64_t size, int64_t count);

 private:
  static constexpr int kStateSize = 624;
  void InitByValue(uint32_t value);
  void InitByArray(const std::vector<uint32_t>& key);
  void Refill();

  std::array<uint32_t, kStateSize> state_;
  int position_ = kStateSize;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_PYTHON_RANDOM_H_
