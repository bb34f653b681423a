// Pure.
#include "trainer/precision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "trainer/cpu_features.h"

namespace breakeven {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// What every rank of a world gets, or the message that it ends with.
std::vector<std::string> Agree(const std::string& asked, bool forced,
                               const std::vector<BFloat16Support>& ranks) {
  std::vector<std::string> answers(ranks.size());
  RunThreadWorld(static_cast<int>(ranks.size()), [&](World& world) {
    const auto rank = static_cast<size_t>(world.rank());
    try {
      answers[rank] = AgreeOnPrecision(asked, forced, ranks[rank], *world.control);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kMachine);
      EXPECT_TRUE(error.on_all_ranks());
      answers[rank] = error.what();
    }
  });
  return answers;
}

const BFloat16Support kFast{true, "host a: AVX512-BF16"};
const BFloat16Support kSlow{false, "host b: neither AVX512-BF16 nor AMX"};

TEST(PrecisionTest, AutoIsBFloat16OnlyWhereEveryRankIsFast) {
  SetLogQuiet(true);
  EXPECT_THAT(Agree("auto", false, {kFast, kFast}), testing::Each("bfloat16"));
  EXPECT_THAT(Agree("auto", false, {kFast, kSlow, kFast}), testing::Each("float32"));
  EXPECT_THAT(Agree("auto", true, {kSlow}), testing::Each("float32")) << "force is for bfloat16";
}

TEST(PrecisionTest, Float32IsFloat32) {
  EXPECT_THAT(Agree("float32", false, {kFast, kFast}), testing::Each("float32"));
}

TEST(PrecisionTest, BFloat16IsRefusedWithTheRankThatLacksItUnlessForced) {
  EXPECT_THAT(Agree("bfloat16", false, {kFast, kFast}), testing::Each("bfloat16"));
  EXPECT_THAT(Agree("bfloat16", false, {kFast, kSlow}),
              testing::Each(AllOf(HasSubstr("rank 1"), HasSubstr("host b"), HasSubstr("float32"),
                                  HasSubstr("force_bfloat16"))));
  EXPECT_THAT(Agree("bfloat16", true, {kFast, kSlow}), testing::Each("bfloat16"));
}

TEST(CpuFeaturesTest, SaysWhatItFound) {
  EXPECT_EQ(CpuFeatures{}.Describe(), "neither AVX512-BF16 nor AMX");
  EXPECT_FALSE(CpuFeatures{}.HasFastBFloat16());
  const CpuFeatures both{.avx512_bfloat16 = true, .amx_bfloat16 = true};
  EXPECT_EQ(both.Describe(), "AVX512-BF16 and AMX");
  EXPECT_TRUE(both.HasFastBFloat16());
}

#if defined(__x86_64__)
// The kernel says the same, where it knows the flags.
TEST(CpuFeaturesTest, AgreesWithTheKernel) {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line) && !line.starts_with("flags")) {
  }
  if (line.empty()) GTEST_SKIP() << "no /proc/cpuinfo";
  const CpuFeatures& found = CpuFeaturesOfThisMachine();
  EXPECT_EQ(found.avx512_bfloat16, line.find(" avx512_bf16") != std::string::npos);
  EXPECT_EQ(found.amx_bfloat16, line.find(" amx_bf16") != std::string::npos);
}
#endif

}  // namespace
}  // namespace breakeven
