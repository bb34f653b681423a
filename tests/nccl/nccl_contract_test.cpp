// The contract of all back ends, on NCCL's double.
#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "tests/comm/communicator_contract.h"
#include "tests/nccl/nccl_world.h"

namespace breakeven {
namespace {

class NcclContract : public NcclTest,
                     public testing::WithParamInterface<std::tuple<int, size_t>> {};

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
TEST_P(NcclContract, HoldsWithoutWindows) {
  const auto [world_size, index] = GetParam();
  const contract::Check& check = contract::Checks()[index];
  if (std::string(check.name).find("Alloc") == std::string::npos) return;
  cuda_double::SetWindowSupport(false);
  RunNcclWorld(world_size, PatientOptions(), [&](World& world) {
    check.run(world);
    world.Close();
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, NcclContract,
                         testing::Combine(testing::Range(1, 6),
                                          testing::Range(size_t{0}, contract::Checks().size())),
                         [](const auto& parameters) {
                           return std::string(
                                      contract::Checks()[std::get<1>(parameters.param)].name) +
                                  "_" + std::to_string(std::get<0>(parameters.param));
                         });

}  // namespace
}  // namespace breakeven
