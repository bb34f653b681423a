// The contract on ranks that are threads, and what only threads can show: how the others end when
// one fails.
#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <tuple>

#include "comm/base/error.h"
#include "comm/base/fault_injection.h"
#include "comm/world.h"
#include "tests/comm/communicator_contract.h"
#include "tests/comm/communicator_contract_values.h"

namespace breakeven {
namespace {

class ThreadContract : public testing::TestWithParam<std::tuple<int, size_t>> {};

TEST_P(ThreadContract, Holds) {
  const auto [world_size, index] = GetParam();
  const contract::Check& check = contract::Checks()[index];
  RunThreadWorld(world_size, [&](World& world) {
    EXPECT_EQ(world.data->name(), "thread");
    check.run(world);
    world.Close();
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, ThreadContract,
                         testing::Combine(testing::Range(1, 6),
                                          testing::Range(size_t{0}, contract::Checks().size())),
                         [](const auto& parameters) {
                           return std::string(
                                      contract::Checks()[std::get<1>(parameters.param)].name) +
                                  "_" + std::to_string(std::get<0>(parameters.param));
                         });

// What RunThreadWorld throws.
Error Failure(int world_size, const std::function<void(World&)>& body) {
  try {
    RunThreadWorld(world_size, body);
  } catch (const Error& error) {
    return error;
  } catch (const std::exception& error) {
    return Error(ErrorKind::kInternal, std::string("not an Error: ") + error.what());
  }
  return Error(ErrorKind::kInternal, "nothing was thrown");
}

TEST(ThreadWorld, ARankThatThrowsEndsTheOthersAndItsErrorIsKept) {
  std::atomic<int> num_ended_by_echo{0};
  const Error error = Failure(4, [&](World& world) {
    if (world.rank() == 2) throw Error(ErrorKind::kBadData, "file is broken");
    try {
      float value = 0;
      world.data->AllReduce({&value, 1, DType::kFloat32, Device{}}, ReduceOp::kSum, Stream{});
    } catch (const Error& echo) {
      EXPECT_EQ(echo.kind(), ErrorKind::kCommunication);
      EXPECT_NE(std::string(echo.what()).find("rank 2 failed: file is broken"), std::string::npos)
          << echo.what();
      ++num_ended_by_echo;
      throw;
    }
  });
  EXPECT_EQ(error.kind(), ErrorKind::kBadData);
  EXPECT_STREQ(error.what(), "file is broken");
  EXPECT_EQ(num_ended_by_echo, 3);
}

TEST(ThreadWorld, AForeignExceptionIsKept) {
  EXPECT_THROW(RunThreadWorld(3,
                              [](World& world) {
                                if (world.rank() == 1) throw std::out_of_range("x");
                                world.control->Barrier();
                              }),
               std::out_of_range);
}

TEST(ThreadWorld, ARankThatReturnsEarlyDoesNotHangTheOthers) {
  const Error error = Failure(3, [](World& world) {
    if (world.rank() != 1) world.control->Barrier();
  });
  EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
  EXPECT_NE(std::string(error.what()).find("rank 1 has ended"), std::string::npos) << error.what();
}

TEST(ThreadWorld, LeavingAfterTheLastMeetingSpoilsNothing) {
  for (int i = 0; i < 200; ++i) RunThreadWorld(4, [](World& world) { world.control->Barrier(); });
}

TEST(ThreadWorld, DifferentCollectivesAreNamedOnBothSides) {
  const Error error = Failure(2, [](World& world) {
    float value = 0;
    const Buffer buffer{&value, 1, DType::kFloat32, Device{}};
    if (world.rank() == 0) world.data->AllReduce(buffer, ReduceOp::kSum, Stream{});
    if (world.rank() == 1) world.data->Broadcast(buffer, 0, Stream{});
  });
  EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
  EXPECT_NE(std::string(error.what()).find("AllReduce"), std::string::npos) << error.what();
  EXPECT_NE(std::string(error.what()).find("Broadcast"), std::string::npos) << error.what();
}

TEST(ThreadWorld, DifferentCountsAreAnError) {
  const Error error = Failure(3, [](World& world) {
    float values[2] = {};
    world.data->AllReduce({values, world.rank() == 2 ? 1 : 2, DType::kFloat32, Device{}},
                          ReduceOp::kSum, Stream{});
  });
  EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
  EXPECT_NE(std::string(error.what()).find("count 2"), std::string::npos) << error.what();
}

TEST(ThreadWorld, AbortEndsTheWaitingOfTheOthers) {
  const Error error = Failure(3, [](World& world) {
    if (world.rank() == 0) world.data->Abort("no more");
    world.data->Barrier();
  });
  EXPECT_NE(std::string(error.what()).find("rank 0 aborted: no more"), std::string::npos)
      << error.what();
}

TEST(ThreadWorld, MemoryMustBeReleasedBeforeClose) {
  const Error error = Failure(1, [](World& world) {
    const Memory memory = world.data->Allocate(64);
    world.Close();
  });
  EXPECT_EQ(error.kind(), ErrorKind::kInternal) << error.what();
}

TEST(ThreadWorld, AnAbsurdSizeIsTheMachinesLimit) {
  const Error error = Failure(2, [](World& world) { world.data->Allocate(int64_t{1} << 50); });
  EXPECT_EQ(error.kind(), ErrorKind::kMachine) << error.what();
}

TEST(ThreadWorld, BuffersThatMakeNoSenseAreBugs) {
  for (const Buffer buffer : {Buffer{nullptr, 1, DType::kFloat32, Device{}},
                              Buffer{nullptr, -1, DType::kFloat32, Device{}},
                              Buffer{nullptr, 0, DType::kFloat32, Device{0}}}) {
    const Error error =
        Failure(1, [&](World& world) { world.data->AllReduce(buffer, ReduceOp::kSum, Stream{}); });
    EXPECT_EQ(error.kind(), ErrorKind::kInternal) << error.what();
  }
}

TEST(ThreadWorld, FaultsCanBeInjectedIntoOneRank) {
  SetFaults("comm.all_reduce:1=throw");
  const Error error = Failure(3, [](World& world) {
    float value = 0;
    world.data->AllReduce({&value, 1, DType::kFloat32, Device{}}, ReduceOp::kSum, Stream{});
  });
  SetFaults("");
  EXPECT_STREQ(error.what(), "injected fault at comm.all_reduce");
}

TEST(SingleWorld, IsAWorldOfOne) {
  World world = MakeSingleWorld();
  EXPECT_EQ(world.world_size(), 1);
  EXPECT_TRUE(world.is_root());
  for (const contract::Check& check : contract::Checks()) check.run(world);
  world.Close();
}

}  // namespace
}  // namespace breakeven
