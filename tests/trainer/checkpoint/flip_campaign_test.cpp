// Bits that a disk turns over, anywhere in a checkpoint: found, or without any meaning. Datasets have
// the same in tests/data_pipeline/token_dataset_damage_test.cpp.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>

#include "comm/base/random.h"
#include "tests/trainer/training/training_fixture.h"
#include "trainer/checkpoint/manifest.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;

class FlipCampaign : public TrainingTest {};

TEST_F(FlipCampaign, EveryFlipInACheckpointIsFoundOrMeansNothing) {
  const uint64_t num_flips = std::getenv("BREAKEVEN_FULL") != nullptr ? 20000 : 2000;
  TrainConfig config = Config();
  config.max_steps = 2;
  config.schedule.warmup_steps = 0;
  const std::string folder = Train(config, 2).last_checkpoint;
  std::map<std::string, std::string> files;
  for (const auto& item : fs::recursive_directory_iterator(folder)) {
    if (item.is_regular_file()) files[item.path().string()] = ReadBytes(item.path().string());
  }
  const std::string weights_and_moments = Bytes(folder);
  const Manifest whole = VerifyCheckpoint(folder);
  std::map<std::string, uint64_t> found;
  uint64_t harmless = 0;
  for (uint64_t flip = 0; flip < num_flips; ++flip) {
    // Every file as often as every other: small ones have the more meaning.
    const auto& [path, bytes] =
        *std::next(files.begin(), static_cast<int64_t>(flip % files.size()));
    const uint64_t bit = RandomBits(/*seed=*/1, /*stream=*/2, flip) % (8 * bytes.size());
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    WriteBytes(path, damaged);
    try {
      const Manifest read = VerifyCheckpoint(folder);
      // A blank of manifest.json has become another character that says nothing.
      ASSERT_TRUE(path.ends_with("/manifest.json")) << path << " bit " << bit;
      ASSERT_EQ(read.files, whole.files) << "bit " << bit;
      ASSERT_EQ(read.step, whole.step) << "bit " << bit;
      ++harmless;
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::kBadData) << error.what();
      ++found[fs::path(path).filename().string()];
    }
    WriteBytes(path, bytes);
  }
  EXPECT_TRUE(Bytes(folder) == weights_and_moments);
  EXPECT_EQ(found.size(), files.size());
  std::printf("%llu flips: %llu without meaning", static_cast<unsigned long long>(num_flips),
              static_cast<unsigned long long>(harmless));
  for (const auto& [name, count] : found) {
    std::printf(", %llu found in %s", static_cast<unsigned long long>(count), name.c_str());
  }
  std::printf(", 0 silent\n");
}

}  // namespace
}  // namespace breakeven
