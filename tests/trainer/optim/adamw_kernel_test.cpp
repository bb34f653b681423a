// Pure.
#include "trainer/optim/adamw_kernel.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "comm/base/random.h"

namespace breakeven {
namespace {

constexpr AdamWFactors kFactors = {.gradient = 0.5f,
                                   .keep = 0.999f,
                                   .new_avg = 0.1f,
                                   .keep_sq = 0.999f,
                                   .new_sq = 0.001f,
                                   .step_size = 0.01f,
                                   .deviation = 31.6f,
                                   .epsilon = 1e-8f};

struct Arrays {
  explicit Arrays(size_t size)
      : weight(size), gradient(size), exp_avg(size), exp_avg_sq(size), copy(size) {
    for (size_t i = 0; i < size; ++i) {
      const auto draw = [i](uint64_t stream) {
        return static_cast<float>(RandomNormal(9, stream, i));
      };
      weight[i] = draw(1);
      gradient[i] = i % 7 == 0 ? 0 : draw(2);
      exp_avg[i] = draw(3);
      exp_avg_sq[i] = std::abs(draw(4));
    }
  }
  void Update(size_t begin, size_t end, bool with_copy = true) {
    UpdateAdamW({&weight[begin], &gradient[begin], &exp_avg[begin], &exp_avg_sq[begin],
                 with_copy ? &copy[begin] : nullptr},
                static_cast<int64_t>(end - begin), kFactors);
  }
  std::vector<float> weight, gradient, exp_avg, exp_avg_sq;
  std::vector<BFloat16> copy;
};

TEST(AdamWKernel, IsTheFormula) {
  Arrays arrays(1301);
  const Arrays before = arrays;
  arrays.Update(0, 1301);
  for (size_t i = 0; i < 1301; ++i) {
    const double g = 0.5 * before.gradient[i];
    const double m = before.exp_avg[i] + 0.1 * (g - before.exp_avg[i]);
    const double v = 0.999 * before.exp_avg_sq[i] + 0.001 * g * g;
    const double weight = 0.999 * before.weight[i] - 0.01 * m / (std::sqrt(v) * 31.6 + 1e-8);
    EXPECT_NEAR(arrays.exp_avg[i], m, 3e-7 * (1 + std::abs(m))) << i;
    EXPECT_NEAR(arrays.exp_avg_sq[i], v, 3e-7 * (1 + v)) << i;
    EXPECT_NEAR(arrays.weight[i], weight, 1e-6 * (1 + std::abs(weight))) << i;
    EXPECT_EQ(arrays.gradient[i], before.gradient[i]);
  }
}

TEST(AdamWKernel, AnyCutGivesTheSameBits) {
  Arrays whole(1301), cut(1301);
  whole.Update(0, 1301);
  for (const auto& [begin, end] : {std::pair{0, 3}, {3, 20}, {20, 900}, {900, 1301}}) {
    cut.Update(static_cast<size_t>(begin), static_cast<size_t>(end));
  }
  EXPECT_EQ(cut.weight, whole.weight);
  EXPECT_EQ(cut.exp_avg, whole.exp_avg);
  EXPECT_EQ(cut.exp_avg_sq, whole.exp_avg_sq);
}

TEST(AdamWKernel, TheCopyIsOfTheNewWeight) {
  Arrays arrays(700), without(700);
  arrays.Update(0, 700);
  without.Update(0, 700, /*with_copy=*/false);
  EXPECT_EQ(arrays.weight, without.weight);
  std::vector<BFloat16> expected(700);
  ConvertToBFloat16(arrays.weight.data(), expected.data(), 700);
  for (size_t i = 0; i < 700; ++i) EXPECT_EQ(arrays.copy[i].bits, expected[i].bits) << i;
}

}  // namespace
}  // namespace breakeven
