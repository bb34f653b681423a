// Which GPU each rank takes, on device tables of machines that one meets.
#include "comm/device_binding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "comm/base/error.h"

namespace breakeven {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

using Ids = std::vector<std::string>;

// Ranks in order of node, each with what it sees.
std::vector<RankDevices> Table(const std::vector<std::pair<int, Ids>>& rows) {
  std::vector<RankDevices> ranks;
  for (const auto& [node, ids] : rows) {
    RankDevices rank;
    rank.host = "node" + std::to_string(node);
    rank.node_rank = node;
    rank.pci_bus_ids = ids;
    if (ids.empty()) rank.reason = "no CUDA-capable device is detected";
    ranks.push_back(rank);
  }
  return ranks;
}

std::vector<int> Indices(const std::vector<RankDevices>& ranks, const DeviceOptions& options = {}) {
  std::vector<int> indices;
  for (const Device& device : AssignDevices(ranks, options).devices)
    indices.push_back(device.index);
  return indices;
}

std::string Refusal(const std::vector<RankDevices>& ranks, const DeviceOptions& options = {}) {
  try {
    AssignDevices(ranks, options);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kMachine);
    return error.what();
  }
  return "accepted";
}

const Ids kFour = {"0:17", "0:2a", "0:3d", "0:50"};

TEST(AssignDevices, LocalRankWhereNothingIsMasked) {
  EXPECT_THAT(Indices(Table({{0, kFour}, {0, kFour}, {0, kFour}, {0, kFour}})),
              ElementsAre(0, 1, 2, 3));
}

// Machines of one kind have the same bus ids.
TEST(AssignDevices, NodesAreCountedEachForItself) {
  EXPECT_THAT(Indices(Table({{0, kFour}, {0, kFour}, {1, kFour}, {1, kFour}, {1, kFour}})),
              ElementsAre(0, 1, 0, 1, 2));
  // Ranks dealt round robin over the nodes (mpirun --map-by node).
  EXPECT_THAT(Indices(Table({{0, kFour}, {1, kFour}, {0, kFour}, {1, kFour}})),
              ElementsAre(0, 0, 1, 1));
}

// srun --gpus-per-task=1 shows each rank one device, which CUDA numbers 0: "invalid device ordinal" for who goes by
// the local rank.
TEST(AssignDevices, TheOnlyDeviceWhereTheSchedulerMaskedTheOthers) {
  EXPECT_THAT(Indices(Table({{0, {"0:17"}}, {0, {"0:2a"}}, {0, {"0:3d"}}})), ElementsAre(0, 0, 0));
}

TEST(AssignDevices, SeveralMaskedDevicesARank) {
  EXPECT_THAT(Indices(Table({{0, {"0:17", "0:2a"}}, {0, {"0:3d", "0:50"}}})), ElementsAre(0, 0));
  // Two ranks to a socket, each socket with its own mask.
  EXPECT_THAT(Indices(Table({{0, {"0:17", "0:2a"}},
                             {0, {"0:17", "0:2a"}},
                             {0, {"0:3d", "0:50"}},
                             {0, {"0:3d", "0:50"}}})),
              ElementsAre(0, 1, 0, 1));
}

TEST(AssignDevices, MoreRanksThanDevicesAreRefused) {
  auto ranks = Table({{0, {"0:17", "0:2a"}}, {0, {"0:17", "0:2a"}}, {0, {"0:17", "0:2a"}}});
  for (RankDevices& rank : ranks) rank.mask = "4,5";
  EXPECT_THAT(Refusal(ranks),
              AllOf(HasSubstr("rank 2 on node0 (CUDA_VISIBLE_DEVICES=4,5)"), HasSubstr("all 2"),
                    HasSubstr("ppr:2:node"), HasSubstr("--ntasks-per-node=2")));
}

TEST(AssignDevices, TheSameDeviceTwiceIsRefused) {
  const auto ranks = Table({{0, {"0:17"}}, {1, {"0:17"}}, {1, {"0:2a"}}, {1, {"0:17"}}});
  EXPECT_THAT(Refusal(ranks), AllOf(HasSubstr("rank 1 on node1"), HasSubstr("rank 3 on node1"),
                                    HasSubstr("the same GPU (0:17)"), HasSubstr("--gpus-per-node"),
                                    HasSubstr("CUDA_VISIBLE_DEVICES is not set")));
  // Masks that overlap.
  EXPECT_THAT(Refusal(Table({{0, {"0:17", "0:2a"}}, {0, {"0:17", "0:3d"}}})),
              HasSubstr("the same GPU (0:17)"));
}

TEST(AssignDevices, SharingIsDealtInTurnWhereAllowed) {
  const DeviceOptions allowed{.allow_shared_gpu = true};
  const Ids two = {"0:17", "0:2a"};
  const auto ranks = Table({{0, two}, {0, two}, {0, two}});
  EXPECT_THAT(Indices(ranks, allowed), ElementsAre(0, 1, 0));
  EXPECT_TRUE(AssignDevices(ranks, allowed).shared);
  EXPECT_THAT(Indices(Table({{0, {"0:17"}}, {0, {"0:17"}}}), allowed), ElementsAre(0, 0));
  EXPECT_FALSE(AssignDevices(Table({{0, two}, {0, two}}), allowed).shared);
}

TEST(AssignDevices, AutoIsCpuWhereNobodySeesAGpu) {
  EXPECT_THAT(Indices(Table({{0, {}}, {0, {}}})), ElementsAre(-1, -1));
}

TEST(AssignDevices, CpuLooksAtNothing) {
  EXPECT_THAT(Indices(Table({{0, kFour}, {1, {}}}), {.choice = DeviceChoice::kCpu}),
              ElementsAre(-1, -1));
}

TEST(AssignDevices, OneNodeWithoutIsNamed) {
  for (const DeviceChoice choice : {DeviceChoice::kAuto, DeviceChoice::kCuda}) {
    EXPECT_THAT(Refusal(Table({{0, kFour}, {0, kFour}, {1, {}}}), {.choice = choice}),
                AllOf(HasSubstr("rank 0 on node0"), HasSubstr("sees 4 GPU(s)"),
                      HasSubstr("rank 2 on node1"), HasSubstr("no CUDA-capable device"),
                      HasSubstr("device: cpu")));
  }
}

TEST(AssignDevices, CudaIsAnErrorWhereNobodySeesAGpu) {
  EXPECT_THAT(Refusal(Table({{0, {}}}), {.choice = DeviceChoice::kCuda}),
              AllOf(HasSubstr("device: cuda"), HasSubstr("no CUDA-capable device")));
}

TEST(DeviceChoices, HaveTheNamesOfTheConfig) {
  EXPECT_EQ(ParseDeviceChoice("auto"), DeviceChoice::kAuto);
  EXPECT_EQ(ParseDeviceChoice("cpu"), DeviceChoice::kCpu);
  EXPECT_EQ(ParseDeviceChoice("cuda"), DeviceChoice::kCuda);
}

}  // namespace
}  // namespace breakeven
