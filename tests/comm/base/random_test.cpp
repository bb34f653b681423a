#include "comm/base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace breakeven {
namespace {

using Words = std::array<uint32_t, 4>;

// The known answers that the authors publish with Random123 (kat_vectors, philox4x32 10).
TEST(Random, PhiloxGivesThePublishedAnswers) {
  EXPECT_EQ(Philox(0, 0, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox(~0ull, ~0ull, ~0ull), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  // Counter and key are digits of pi, low word first.
  EXPECT_EQ(Philox(0x299f31d0a4093822u, 0x85a308d3243f6a88u, 0x0370734413198a2eu),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, EachArgumentChangesTheDraw) {
  const uint64_t draw = RandomBits(1, 2, 3);
  EXPECT_EQ(RandomBits(1, 2, 3), draw);
  EXPECT_NE(RandomBits(2, 2, 3), draw);
  EXPECT_NE(RandomBits(1, 3, 3), draw);
  EXPECT_NE(RandomBits(1, 2, 4), draw);
}

TEST(Random, UniformHasTheMomentsOfAUniform) {
  constexpr int n = 100000;
  double sum = 0, sum_of_squares = 0;
  for (int i = 0; i < n; ++i) {
    const double u = RandomUniform(7, 1, static_cast<uint64_t>(i));
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
    sum_of_squares += u * u;
  }
  // Five standard errors of each moment.
  EXPECT_NEAR(sum / n, 0.5, 5 * 0.2887 / std::sqrt(n));
  EXPECT_NEAR(sum_of_squares / n, 1.0 / 3, 5 * 0.2981 / std::sqrt(n));
}

TEST(Random, NormalHasTheMomentsOfANormal) {
  constexpr int n = 100000;
  double moments[5] = {};
  for (int i = 0; i < n; ++i) {
    const double z = RandomNormal(7, 2, static_cast<uint64_t>(i));
    ASSERT_TRUE(std::isfinite(z));
    for (int k = 1; k <= 4; ++k) moments[k] += std::pow(z, k) / n;
  }
  EXPECT_NEAR(moments[1], 0, 5 * 1.0 / std::sqrt(n));
  EXPECT_NEAR(moments[2], 1, 5 * 1.415 / std::sqrt(n));
  EXPECT_NEAR(moments[3], 0, 5 * 3.873 / std::sqrt(n));
  EXPECT_NEAR(moments[4], 3, 5 * 9.8 / std::sqrt(n));
}

TEST(RandomPermutation, IsABijectionForEverySize) {
  for (uint64_t size : {1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 255, 256, 257, 1000, 4097, 65537}) {
    const RandomPermutation permutation(size, 11, 1);
    std::vector<bool> seen(size, false);
    for (uint64_t i = 0; i < size; ++i) {
      const uint64_t image = permutation(i);
      ASSERT_LT(image, size);
      ASSERT_FALSE(seen[image]) << "size " << size << ": " << image << " twice";
      seen[image] = true;
    }
  }
}

TEST(RandomPermutation, WorksOnTheLargestSizes) {
  for (const uint64_t size : {(uint64_t{1} << 40) + 1, uint64_t{1} << 62, ~uint64_t{0}}) {
    const RandomPermutation permutation(size, 3, 1);
    std::set<uint64_t> images;
    for (uint64_t i = 0; i < 1000; ++i) {
      const uint64_t image = permutation(size - 1 - i);
      ASSERT_LT(image, size);
      images.insert(image);
    }
    EXPECT_EQ(images.size(), 1000u) << "size " << size;
  }
}

// Over many seeds every position receives every value equally often: chi-square with 7 degrees of
// freedom each.
TEST(RandomPermutation, SpreadsEvenlyOverSeeds) {
  constexpr uint64_t size = 8;
  constexpr int seeds = 8000;
  int counts[size][size] = {};
  for (uint64_t seed = 0; seed < seeds; ++seed) {
    const RandomPermutation permutation(size, seed, 1);
    for (uint64_t i = 0; i < size; ++i) ++counts[i][permutation(i)];
  }
  for (uint64_t i = 0; i < size; ++i) {
    double chi_square = 0;
    for (const int count : counts[i]) chi_square += std::pow(count - seeds / 8, 2) / (seeds / 8);
    EXPECT_LT(chi_square, 30.0) << "position " << i;  // P < 1e-4
  }
}

TEST(RandomPermutation, SeedAndStreamChangeIt) {
  const RandomPermutation a(1000, 1, 1), again(1000, 1, 1), seed(1000, 2, 1), stream(1000, 1, 2);
  int same_seed = 0, same_stream = 0;
  for (uint64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(a(i), again(i));
    same_seed += a(i) == seed(i);
    same_stream += a(i) == stream(i);
  }
  EXPECT_LT(same_seed, 10);  // one is expected
  EXPECT_LT(same_stream, 10);
}

}  // namespace
}  // namespace breakeven
