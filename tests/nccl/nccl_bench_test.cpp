// `bench allreduce` over memory of GPUs, which the host cannot write to.
#include <gtest/gtest.h>

#include <memory>
#include <string_view>
#include <vector>

#include "comm/all_reduce_bench.h"
#include "comm/all_reduce_subject.h"
#include "tests/nccl/nccl_world.h"

namespace breakeven {
namespace {

class NcclBench : public NcclTest {};

constexpr int kRanks = 2;
constexpr int kSamples = 5;  // one to estimate, one to warm up, one to plan by, two that count

// How often memory was copied to or from a device.
int CopiesWith(bool rewrite) {
  AllReduceBenchConfig config;
  config.sizes = {3000, 3000000};
  config.rewrite = rewrite;
  config.warmups = 2;
  config.repeats = 2;
  config.seconds = 0.001;
  const int before = cuda_double::NumCalls("cudaMemcpy");
  RunThreadWorld(kRanks, [&](World& world) {
    std::vector<std::unique_ptr<AllReduceSubject>> subjects;
    subjects.push_back(MakeCommunicatorSubject(
        MakeNcclCommunicator(world.control->Duplicate(), Device{world.rank()}, PatientOptions(),
                             [](std::string_view) {}),
        /*allocated=*/true));
    const AllReduceReport report = MeasureAllReduce(*world.control, subjects, config);
    EXPECT_EQ(report.figures.size(), 2u);
    for (const AllReduceFigure& figure : report.figures) {
      EXPECT_TRUE(figure.correct) << figure.bytes;
      EXPECT_EQ(figure.seconds.repeats, 2);
    }
    subjects.front()->Close();
    world.Close();
  });
  return cuda_double::NumCalls("cudaMemcpy") - before;
}

// A GPU's memory is the double's host memory: a plain write would be seen on a real one only. So copies are counted, of the
// larger size three pieces.
TEST_F(NcclBench, RewritesTheMemoryOfTheDevice) {
  EXPECT_EQ(CopiesWith(true) - CopiesWith(false), kRanks * kSamples * (1 + 3));
}

}  // namespace
}  // namespace breakeven
