// The contract of all back ends, on NCCL's double.
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "tests/comm/communicator_contract.h"
#include "tests/nccl/nccl_world.h"

namespace breakeven {
namespace {

class NcclContract : public NcclTest,
                     public testing::WithParamInterface<std::tuple<int, size_t>> {};
class NcclContractWithoutWindows : public NcclContract {};

// Those that allocate through the communicator: no others know what a window is.
std::vector<size_t> ChecksThatAllocate() {
  std::vector<size_t> indices;
  for (size_t i = 0; i < contract::Checks().size(); ++i) {
    if (contract::Checks()[i].allocates) indices.push_back(i);
  }
  return indices;
}

std::string NameOf(const testing::TestParamInfo<std::tuple<int, size_t>>& parameters) {
  const auto [world_size, index] = parameters.param;
  return std::string(contract::Checks()[index].name) + "_" + std::to_string(world_size);
}

TEST_P(NcclContract, Holds) {
  const auto [world_size, index] = GetParam();
  const contract::Check& check = contract::Checks()[index];
  RunNcclWorld(world_size, PatientOptions(), [&](World& world) {
    EXPECT_EQ(world.data->name(), "nccl");
    EXPECT_TRUE(world.device.is_cuda());
    check.run(world);
    world.Close();
  });
}

// Where no rank has windows: the same through plain registration.
TEST_P(NcclContractWithoutWindows, Holds) {
  const auto [world_size, index] = GetParam();
  const contract::Check& check = contract::Checks()[index];
  cuda_double::SetWindowSupport(false);
  RunNcclWorld(world_size, PatientOptions(), [&](World& world) {
    check.run(world);
    world.Close();
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, NcclContract,
                         testing::Combine(testing::Range(1, 6),
                                          testing::Range(size_t{0}, contract::Checks().size())),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(Ranks, NcclContractWithoutWindows,
                         testing::Combine(testing::Range(1, 6),
                                          testing::ValuesIn(ChecksThatAllocate())),
                         NameOf);

}  // namespace
}  // namespace breakeven
