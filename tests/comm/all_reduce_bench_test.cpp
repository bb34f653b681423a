// What `bench allreduce` measures and how it fits; the figures themselves are not judged.
#include "comm/all_reduce_bench.h"

#include <gtest/gtest.h>

#include <cmath>

#include "comm/base/error.h"
#include "comm/world.h"

namespace breakeven {
namespace {

TEST(AllReduceBench, TheFitFindsLatencyAndBandwidth) {
  std::vector<int64_t> bytes;
  std::vector<double> seconds;
  for (int64_t size = 8; size <= (1 << 30); size *= 8) {
    bytes.push_back(size);
    seconds.push_back(2e-6 + static_cast<double>(size) / 10e9);
  }
  const AllReduceFit fit = FitAllReduce(bytes, seconds);
  EXPECT_NEAR(fit.latency_seconds, 2e-6, 1e-12);
  EXPECT_NEAR(fit.bytes_per_second, 10e9, 1e4);
  EXPECT_NEAR(fit.r_squared, 1, 1e-9);
}

TEST(AllReduceBench, TheFitOfNoiseSaysSo) {
  const std::vector<int64_t> bytes = {1000, 2000, 3000, 4000};
  const std::vector<double> seconds = {3e-6, 1e-6, 4e-6, 1e-6};
  const AllReduceFit fit = FitAllReduce(bytes, seconds);
  EXPECT_GE(fit.latency_seconds, 0);
  EXPECT_LT(fit.r_squared, 0.5);
}

TEST(AllReduceBench, SizesAscendToTheLargest) {
  AllReduceBenchConfig config;
  EXPECT_EQ(config.Sizes().front(), 8);
  EXPECT_EQ(config.Sizes().back(), int64_t{1} << 30);
  config.min_bytes = 10;
  config.max_bytes = 100;
  config.factor = 3;
  EXPECT_EQ(config.Sizes(), (std::vector<int64_t>{10, 30, 90, 100}));
  config.max_bytes = 10;
  EXPECT_EQ(config.Sizes(), (std::vector<int64_t>{10}));
  config.sizes = {7, 3, 7};
  EXPECT_EQ(config.Sizes(), (std::vector<int64_t>{3, 7}));
}

TEST(AllReduceBench, ValidateNamesTheKey) {
  const auto message = [](void (*change)(AllReduceBenchConfig&)) -> std::string {
    AllReduceBenchConfig config;
    change(config);
    try {
      config.Validate();
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing was thrown";
  };
  using Config = AllReduceBenchConfig;
  EXPECT_NE(message([](Config& c) { c.backends = {}; }).find("backends"), std::string::npos);
  EXPECT_NE(message([](Config& c) {
              c.backends = {"mpi", "mpi"};
            }).find("twice"),
            std::string::npos);
  EXPECT_NE(message([](Config& c) { c.dtypes = {"bfloat16"}; }).find("bfloat16"),
            std::string::npos);
  EXPECT_NE(message([](Config& c) { c.min_bytes = c.max_bytes + 1; }).find("min_bytes"),
            std::string::npos);
}

// A subject that is wrong in one element of one rank.
class WrongSubject final : public AllReduceSubject {
 public:
  explicit WrongSubject(World& world) : world_(world) {}
  std::string name() const override { return "wrong"; }
  void Reserve(int64_t num_bytes) override { bytes_.resize(static_cast<size_t>(num_bytes)); }
  void* input() override { return bytes_.data(); }
  const void* result() const override { return bytes_.data(); }
  void Run(DType dtype, int64_t count, ReduceOp op) override {
    world_.data->AllReduce({bytes_.data(), count, dtype, Device{}}, op, Stream{});
    if (world_.rank() == 1) bytes_.back() = static_cast<char>(bytes_.back() + 1);
  }
  void Barrier() override { world_.data->Barrier(); }
  void Close() override {}

 private:
  World& world_;
  std::vector<char> bytes_;
};

class RightSubject final : public AllReduceSubject {
 public:
  explicit RightSubject(World& world) : world_(world) {}
  std::string name() const override { return "right"; }
  void Reserve(int64_t num_bytes) override {
    memory_ = Memory();
    if (num_bytes > 0) memory_ = world_.data->Allocate(num_bytes);
  }
  void* input() override { return memory_.data(); }
  const void* result() const override { return memory_.data(); }
  void Run(DType dtype, int64_t count, ReduceOp op) override {
    world_.data->AllReduce({memory_.data(), count, dtype, Device{}}, op, Stream{});
  }
  void Barrier() override { world_.data->Barrier(); }
  void Close() override { memory_ = Memory(); }

 private:
  World& world_;
  Memory memory_;
};

TEST(AllReduceBench, EveryTypeIsMeasuredAndAWrongValueIsSeen) {
  AllReduceBenchConfig config;
  config.dtypes = {"float32", "bfloat16", "float64", "int32", "int64", "uint8"};
  config.sizes = {8, 3000, 100000};
  config.repeats = 2;
  config.seconds = 0.001;
  RunThreadWorld(3, [&](World& world) {
    std::vector<std::unique_ptr<AllReduceSubject>> subjects;
    subjects.push_back(std::make_unique<RightSubject>(world));
    subjects.push_back(std::make_unique<WrongSubject>(world));
    const AllReduceReport report = MeasureAllReduce(*world.control, subjects, config);
    ASSERT_EQ(report.figures.size(), 6u * 3 * 2);
    for (const AllReduceFigure& figure : report.figures) {
      EXPECT_EQ(figure.correct, figure.backend == "right") << figure.backend << figure.bytes;
      EXPECT_GT(figure.seconds.median, 0);
      EXPECT_LE(figure.seconds.min, figure.seconds.median);
      EXPECT_EQ(figure.seconds.repeats, 2);
      EXPECT_EQ(figure.seconds.discarded, 1 + config.warmups);
      EXPECT_NEAR(figure.busbw, figure.algbw * 4 / 3, 1e-9);
    }
    EXPECT_EQ(report.fits.size(), 6u * 2);
    world.Close();
  });
}

}  // namespace
}  // namespace breakeven
