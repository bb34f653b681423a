// Pure. The vectors were made with CPython 3.11's random module.
#include "trainer/prompt_eval/python_random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace breakeven {
namespace {

using ::testing::ElementsAre;

std::vector<std::vector<int64_t>> Samples(int64_t seed, int64_t size, int64_t count, int times) {
  PythonRandom random(seed);
  std::vector<std::vector<int64_t>> samples;
  for (int i = 0; i < times; ++i) samples.push_back(random.Sample(size, count));
  return samples;
}

// What lm-evaluation-harness draws for its first documents (lm_eval/api/samplers.py).
TEST(PythonRandomTest, DrawsFiveOfAThousandLikeCPython) {
  EXPECT_THAT(Samples(1234, 1000, 5, 3),
              ElementsAre(ElementsAre(989, 796, 451, 119, 7), ElementsAre(92, 932, 965, 961, 826),
                          ElementsAre(596, 35, 687, 709, 85)));
}

TEST(PythonRandomTest, DrawsSixOfAThousandLikeCPython) {
  const auto samples = Samples(1234, 1000, 6, 3);
  EXPECT_THAT(std::vector(samples[0].begin(), samples[0].begin() + 5),
              ElementsAre(989, 796, 451, 119, 7));
  EXPECT_THAT(std::vector(samples[1].begin(), samples[1].begin() + 5),
              ElementsAre(932, 965, 961, 826, 596));
  EXPECT_THAT(std::vector(samples[2].begin(), samples[2].begin() + 5),
              ElementsAre(687, 709, 85, 100, 784));
}

TEST(PythonRandomTest, DrawsFromLargePoolsLikeCPython) {
  EXPECT_THAT(Samples(1234, 7473, 5, 3), ElementsAre(ElementsAre(6374, 3610, 957, 61, 742),
                                                     ElementsAre(7462, 6610, 4769, 286, 5501),
                                                     ElementsAre(5677, 687, 806, 6279, 2905)));
  const auto hellaswag = Samples(1234, 39905, 11, 2);
  EXPECT_THAT(std::vector(hellaswag[0].begin(), hellaswag[0].begin() + 10),
              ElementsAre(28883, 7657, 490, 5940, 38156, 2288, 5500, 6450, 23241, 15519));
  EXPECT_THAT(std::vector(hellaswag[1].begin(), hellaswag[1].begin() + 4),
              ElementsAre(2019, 1038, 22681, 31735));
}

// Small pools take the branch that swaps drawn entries away.
TEST(PythonRandomTest, SmallPoolsGiveEveryEntryOnce) {
  PythonRandom random(7);
  std::vector<int64_t> all = random.Sample(20, 20);
  std::sort(all.begin(), all.end());
  for (int64_t i = 0; i < 20; ++i) EXPECT_EQ(all[i], i);
}

TEST(PythonRandomTest, SeedsBeyond32BitsAndBelowZero) {
  EXPECT_NE(PythonRandom(int64_t{1} << 40).NextUint32(), PythonRandom(0).NextUint32());
  EXPECT_EQ(PythonRandom(-5).NextUint32(), PythonRandom(5).NextUint32());
}

// Pools at both sides of the size where CPython changes its method, and other seeds.
TEST(PythonRandomTest, DrawsAtTheEdgesLikeCPython) {
  EXPECT_THAT(Samples(0, 21, 3, 2), ElementsAre(ElementsAre(12, 13, 1), ElementsAre(8, 16, 15)));
  EXPECT_THAT(Samples(0, 22, 3, 2), ElementsAre(ElementsAre(12, 13, 1), ElementsAre(8, 16, 15)));
  EXPECT_THAT(Samples(1234, 85, 10, 2),
              ElementsAre(ElementsAre(56, 14, 0, 11, 74, 4, 10, 12, 45, 30),
                          ElementsAre(2, 3, 84, 44, 79, 61, 78, 59, 19, 11)));
  EXPECT_THAT(Samples(1234, 86, 10, 2),
              ElementsAre(ElementsAre(56, 14, 0, 11, 74, 4, 85, 10, 12, 45),
                          ElementsAre(30, 2, 3, 44, 82, 79, 61, 78, 59, 19)));
  EXPECT_THAT(Samples(98765432101234, 50, 4, 2),
              ElementsAre(ElementsAre(3, 10, 2, 25), ElementsAre(43, 5, 0, 17)));
  EXPECT_THAT(Samples(-3, 1, 1, 2), ElementsAre(ElementsAre(0), ElementsAre(0)));
}

}  // namespace
}  // namespace breakeven
