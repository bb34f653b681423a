// Pure. Values for the tests of matrix products, in float32 and in bfloat16.
#ifndef BREAKEVEN_TESTS_TRAINER_AUTOGRAD_DRAWN_VALUES_H_
#define BREAKEVEN_TESTS_TRAINER_AUTOGRAD_DRAWN_VALUES_H_

#include <cstdint>
#include <type_traits>
#include <vector>

#include "comm/base/random.h"
#include "trainer/autograd/row_kernels.h"

namespace breakeven {

inline double ValueOf(float value) { return value; }
inline double ValueOf(BFloat16 value) { return ToFloat(value); }

template <typename T>
std::vector<T> Converted(const std::vector<float>& values) {
  if constexpr (std::is_same_v<T, float>) {
    return values;
  } else {
    std::vector<T> rounded(values.size());
    ConvertToBFloat16(values.data(), rounded.data(), static_cast<int64_t>(values.size()));
    return rounded;
  }
}

// Normally distributed, the same for the same stream.
template <typename T>
std::vector<T> Draw(uint64_t stream, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(RandomNormal(3, stream, i));
  }
  return Converted<T>(values);
}

}  // namespace breakeven

#endif  // BREAKEVEN_TESTS_TRAINER_AUTOGRAD_DRAWN_VALUES_H_
