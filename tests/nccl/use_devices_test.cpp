// A world that moves to its GPUs: what ranks see through their masks, and what becomes of it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "tests/nccl/nccl_world.h"

namespace breakeven {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

class UseDevicesTest : public NcclTest {
 protected:
  void TearDown() override {
    ::unsetenv("NCCL_MULTI_RANK_GPU_ENABLE");
    NcclTest::TearDown();
  }
};

// Where each rank computes after UseDevices, as "nccl cuda:1", or why not. `masks`: the devices that each rank sees.
std::vector<std::string> Places(const std::vector<std::vector<int>>& masks,
                                const DeviceOptions& options) {
  std::vector<std::string> places(masks.size());
  try {
    RunThreadWorld(static_cast<int>(masks.size()), [&](World& world) {
      const auto rank = static_cast<size_t>(world.rank());
      cuda_double::SetVisibleToThisThread(masks[rank]);
      try {
        UseDevices(world, options, PatientOptions());
      } catch (const Error& error) {
        places[rank] = std::to_string(error.exit_code()) + ' ' + error.what();
        EXPECT_TRUE(error.on_all_ranks());
        world.Close();  // in order
        return;
      }
      places[rank] =
          std::string(world.data->name()) +
          (world.device.is_cuda() ? " cuda:" + std::to_string(world.device.index) : " cpu");
      {
        const Memory memory = world.data->Allocate(64);
        world.data->AllReduce({memory.data(), 16, DType::kFloat32, world.device}, ReduceOp::kSum,
                              Stream{});
        world.data->Barrier();
      }
      world.Close();
    });
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what();
  }
  return places;
}

TEST_F(UseDevicesTest, RanksThatSeeAllTakeTheirLocalRanks) {
  const std::vector<int> all{0, 1, 2, 3, 4};
  EXPECT_THAT(Places({all, all, all}, {}),
              ElementsAre("nccl cuda:0", "nccl cuda:1", "nccl cuda:2"));
}

TEST_F(UseDevicesTest, RanksThatSeeOneTakeIt) {
  EXPECT_THAT(Places({{3}, {1}, {0}}, {}), Each("nccl cuda:0"));
}

TEST_F(UseDevicesTest, CpuIsCpuWhateverTheMachineHas) {
  EXPECT_THAT(Places({{0, 1}, {0, 1}}, {.choice = DeviceChoice::kCpu}), Each("thread cpu"));
  EXPECT_EQ(cuda_double::NumCalls("cudaGetDeviceCount"), 0) << "a context costs memory";
}

TEST_F(UseDevicesTest, NoGpuAnywhereIsACpuRunUnlessAskedFor) {
  EXPECT_THAT(Places({{}, {}}, {}), Each("thread cpu"));
  EXPECT_THAT(Places({{}, {}}, {.choice = DeviceChoice::kCuda}),
              Each(AllOf(HasSubstr("78 "), HasSubstr("rank 0 on "), HasSubstr("no CUDA-capable"))));
}

TEST_F(UseDevicesTest, TheSameDeviceTwiceIsRefusedByItsBusId) {
  EXPECT_THAT(Places({{2}, {1}, {2}}, {}),
              Each(AllOf(HasSubstr("rank 0"), HasSubstr("rank 2"), HasSubstr("0000:02:00.0"),
                         HasSubstr("--gpus-per-node"))));
}

TEST_F(UseDevicesTest, SharingMustBeAllowedAndThenNcclIsToldSo) {
  EXPECT_THAT(Places({{0}, {0}}, {.allow_shared_gpu = true}), Each("nccl cuda:0"));
  EXPECT_STREQ(std::getenv("NCCL_MULTI_RANK_GPU_ENABLE"), "1");
}

TEST_F(UseDevicesTest, ADeviceThatDoesNotAnswerEndsAll) {
  cuda_double::Inject({.call = "cudaSetDevice", .device = -1, .code = cudaErrorDevicesUnavailable});
  EXPECT_THAT(Places({{0, 1}, {0, 1}}, {}),
              Each(AllOf(HasSubstr("78 "), HasSubstr("cudaSetDevice failed"))));
}

}  // namespace
}  // namespace breakeven
