#include "data_pipeline/loader_bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/data_pipeline/dataset_fixture.h"

namespace breakeven {
namespace {

LoaderBenchConfig Config(const std::string& data) {
  LoaderBenchConfig config;
  config.data = data;
  config.batching.global_batch.examples = 4;
  config.repeats = 3;
  config.warmups = 1;
  config.seconds = 1e-4;
  return config;
}

TEST(LoaderBenchTest, EveryReaderGivesBothFigures) {
  const TempFolder folder;
  TokenDatasetInfo info = MakeInfo(50);
  WriteTokenDataset(folder / "train.h5", info, MakeExamples(10, 20, 50));
  const LoaderReport report = MeasureLoader(Config(folder / "train.h5"));
  EXPECT_EQ(report.num_examples, 10);
  std::vector<std::string> names;
  for (const LoaderFigure& figure : report.figures) {
    names.push_back(figure.reader + " " + figure.what);
    EXPECT_EQ(figure.seconds.repeats, 3);
    EXPECT_EQ(figure.seconds.discarded, 1);
    EXPECT_GT(figure.seconds.median, 0);
    EXPECT_GT(figure.tokens_per_second, figure.examples_per_second)
        << "examples have 1 to 20 tokens";
    if (figure.what == "random_examples") {
      EXPECT_NEAR(figure.examples_per_second * figure.seconds.median, 1, 1e-9);
    } else {  // steps of 4, 4 and 2 examples
      EXPECT_GT(figure.examples_per_second * figure.seconds.median, 2);
      EXPECT_LE(figure.examples_per_second * figure.seconds.median, 4);
    }
  }
  EXPECT_THAT(names, testing::ElementsAre("mmap random_examples", "mmap steps",
                                          "h5dread random_examples", "h5dread steps"));
}

TEST(LoaderBenchTest, RefusesWhatHasNothingToRead) {
  const TempFolder folder;
  const auto kind_of = [](const LoaderBenchConfig& config) {
    try {
      MeasureLoader(config);
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::kInternal;
  };
  EXPECT_EQ(kind_of(Config(folder / "absent.h5")), ErrorKind::kBadData);
  EXPECT_EQ(kind_of(Config("")), ErrorKind::kUsage);
}

}  // namespace
}  // namespace breakeven
