// Random numbers for simulations: one sequence per seed, the same everywhere.
#ifndef BREAKEVEN_TESTS_SUPPORT_DICE_H_
#define BREAKEVEN_TESTS_SUPPORT_DICE_H_

#include <cstdint>

#include "comm/base/random.h"

namespace breakeven {

class Dice {
 public:
  explicit Dice(uint64_t seed) : seed_(seed) {}
  double Uniform() { return RandomUniform(seed_, kStream, index_++); }
  double Normal() { return RandomNormal(seed_, kStream, index_++); }

 private:
  static constexpr uint64_t kStream = uint64_t{1} << 32;  // none of the program's
  uint64_t seed_;
  uint64_t index_ = 0;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TESTS_SUPPORT_DICE_H_
