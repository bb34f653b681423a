// The contract over shared memory, on threads; mpi_contract runs it on processes.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "comm/base/error.h"
#include "comm/base/fault_injection.h"
#include "comm/host_memory.h"
#include "tests/comm/communicator_contract.h"
#include "tests/comm/communicator_contract_values.h"
#include "tests/comm/shared_memory_world.h"

namespace breakeven {
namespace {

// Which ranks lie on which nodes: one node of 1 … 5, equal and unequal nodes, dealt in turns, and one rank each.
const std::vector<std::vector<int>> kNodes = {
    {0},          {0, 0},          {0, 0, 0},       {0, 0, 0, 0}, {0, 0, 0, 0, 0},
    {0, 0, 1, 1}, {0, 0, 0, 1, 1}, {0, 1, 0, 1, 0}, {0, 1, 2}};

class SharedMemoryContract : public testing::TestWithParam<std::tuple<size_t, size_t>> {
 protected:
  // One check of the contract, on one of kNodes.
  void Run(const std::vector<SegmentSource>& sources, const std::string& faults) {
    const auto [which, index] = GetParam();
    const contract::Check check = contract::DataChecks()[index];
    const NodeMap nodes{kNodes[which]};
    contract::NodesInOrder().clear();
    for (int node = 0; node < nodes.num_nodes(); ++node) {
      contract::NodesInOrder().push_back(nodes.RanksOf(node));
    }
    RunSharedMemoryWorld(static_cast<int>(nodes.node_of.size()),
                         {.node_of = nodes.node_of, .sources = sources}, [&](World& world) {
                           EXPECT_EQ(world.data->name(), "shared_memory");
                           world.control->Barrier();
                           if (world.is_root()) SetFaults(faults);
                           world.control->Barrier();
                           check.run(world);
                           world.Close();
                         });
    contract::NodesInOrder().clear();
    SetFaults("");
  }

 public:
  static std::string Name(const testing::TestParamInfo<std::tuple<size_t, size_t>>& parameters) {
    std::string name = contract::DataChecks()[std::get<1>(parameters.param)].name;
    name += "_";
    for (const int node : kNodes[std::get<0>(parameters.param)]) name += std::to_string(node);
    return name;
  }
};

TEST_P(SharedMemoryContract, Holds) { Run({SegmentSource::kProcess}, ""); }

INSTANTIATE_TEST_SUITE_P(Nodes, SharedMemoryContract,
                         testing::Combine(testing::Range(size_t{0}, kNodes.size()),
                                          testing::Range(size_t{0}, contract::DataChecks().size())),
                         SharedMemoryContract::Name);

// No block of Allocate is shared, because rank 1 gets no memory after the staging area: everything is copied through that.
class SharedMemoryWithoutWindows : public SharedMemoryContract {};

TEST_P(SharedMemoryWithoutWindows, Holds) {
  Run({SegmentSource::kMemfd}, "shared_memory.reserve:1=errno:ENOSPC");
}

INSTANTIATE_TEST_SUITE_P(Nodes, SharedMemoryWithoutWindows,
                         testing::Combine(testing::Values(size_t{1}, size_t{2}, size_t{5}),
                                          testing::Range(size_t{0}, contract::DataChecks().size())),
                         SharedMemoryContract::Name);

// What RunSharedMemoryWorld throws.
Error Failure(int world_size, const SharedMemoryWorldOptions& options,
              const std::function<void(World&)>& body) {
  try {
    RunSharedMemoryWorld(world_size, options, body);
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorKind::kInternal, "nothing was thrown");
}

void ReduceOne(World& world, int64_t count = 1) {
  std::vector<float> values(static_cast<size_t>(count), 1.0f);
  world.data->AllReduce({values.data(), count, DType::kFloat32, Device{}}, ReduceOp::kSum,
                        Stream{});
  for (const float value : values) ASSERT_EQ(value, static_cast<float>(world.world_size()));
}

// Mapped memory in one rank, plain memory in another, blocks that differ: all go together.
TEST(SharedMemory, MixedMemoryIsReduced) {
  RunSharedMemoryWorld(3, {}, [](World& world) {
    const int64_t count = 300000;
    Memory a = world.data->Allocate(count * 4);
    Memory b = world.data->Allocate(count * 4);
    std::vector<float> plain(static_cast<size_t>(count));
    float* const choices[] = {static_cast<float*>(a.data()), static_cast<float*>(b.data()),
                              plain.data()};
    for (int turn = 0; turn < 9; ++turn) {
      float* mine = choices[(turn % 3 + (turn / 3) * world.rank()) % 3];
      for (int64_t i = 0; i < count; ++i) mine[i] = static_cast<float>(i % 100 + world.rank());
      world.data->AllReduce({mine, count, DType::kFloat32, Device{}}, ReduceOp::kSum, Stream{});
      for (int64_t i = 0; i < count; ++i) {
        ASSERT_EQ(mine[i], static_cast<float>(3 * (i % 100) + 3)) << turn << " " << i;
      }
    }
  });
}

// Blocks that go in another order on every rank, while others are in use.
TEST(SharedMemory, BlocksMayBeReleasedInAnyOrder) {
  RunSharedMemoryWorld(3, {}, [](World& world) {
    std::vector<Memory> blocks;
    for (int i = 0; i < 3; ++i) blocks.push_back(world.data->Allocate(100000));
    blocks[static_cast<size_t>(world.rank())] = Memory();
    ReduceOne(world, 5000);
    blocks[static_cast<size_t>((world.rank() + 1) % 3)] = Memory();
    for (auto& block : blocks) {
      if (block.data() == nullptr) continue;
      float* data = static_cast<float*>(block.data());
      data[0] = 1;
      world.data->AllReduce({data, 20000, DType::kFloat32, Device{}}, ReduceOp::kSum, Stream{});
      EXPECT_EQ(data[0], 3);
    }
    blocks.clear();
    world.Close();
  });
}

// A started call: of `count` elements for each rank.
void StartOne(World& world, Memory& memory, int64_t count) {
  world.data->StartReduceScatter({memory.data(), count * world.world_size(), DType::kFloat32, {}},
                                 ReduceOp::kSum, nullptr);
}

TEST(SharedMemory, StartsWaitForNobody) {
  std::atomic<bool> is_free{false};
  RunSharedMemoryWorld(3, {}, [&](World& world) {
    Memory memory = world.data->Allocate(1200);
    if (world.rank() == 2) {
      while (!is_free) std::this_thread::yield();  // comes when both others have gone on
    }
    int num_done = 0;
    world.data->StartReduceScatter({memory.data(), 300, DType::kFloat32, {}}, ReduceOp::kSum,
                                   [&num_done](int64_t, int64_t) { ++num_done; });
    world.data->Progress();
    if (world.rank() == 1) is_free = true;
    world.data->Complete();
    EXPECT_EQ(num_done, 1);
  });
}

TEST(SharedMemory, AStartedReductionIsHandedOutInPieces) {
  constexpr int64_t kCount = 2 * kPieceElements + 5;
  RunSharedMemoryWorld(2, {}, [&](World& world) {
    Memory memory = world.data->Allocate(2 * kCount * SizeOf(DType::kFloat32));
    float* values = static_cast<float*>(memory.data());
    std::fill_n(values, 2 * kCount, 1.0F);
    const float* own = values + world.rank() * kCount;
    std::vector<int64_t> begins;
    world.data->StartReduceScatter({values, 2 * kCount, DType::kFloat32, {}}, ReduceOp::kSum,
                                   [&](int64_t begin, int64_t count) {
                                     begins.push_back(begin);
                                     EXPECT_TRUE(std::all_of(own + begin, own + begin + count,
                                                             [](float v) { return v == 2; }));
                                     EXPECT_TRUE(begin + count == kCount || own[begin + count] == 1)
                                         << "not yet reduced";
                                   });
    world.data->Complete();
    EXPECT_EQ(begins, (std::vector<int64_t>{0, kPieceElements, 2 * kPieceElements}));
    world.data->Barrier();
  });
}

TEST(SharedMemory, StartedCallsThatDifferAreAnError) {
  const Error error = Failure(2, {}, [](World& world) {
    Memory memory = world.data->Allocate(1000);
    StartOne(world, memory, 10 + world.rank());
    world.data->Complete();
    throw Error(ErrorKind::kInternal, "was not seen");
  });
  EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
  const std::string text = error.what();
  EXPECT_NE(text.find("started different collectives"), std::string::npos) << text;
  EXPECT_NE(text.find("StartReduceScatter, call "), std::string::npos) << text;
}

TEST(SharedMemory, ARankThatLeavesOrIsLateEndsComplete) {
  const Error left = Failure(2, {}, [](World& world) {
    Memory memory = world.data->Allocate(1000);
    if (world.rank() == 1) {
      world.data->Abort("");
      return;
    }
    StartOne(world, memory, 10);
    world.data->Complete();
  });
  EXPECT_NE(std::string(left.what()).find("rank 1, which has left"), std::string::npos)
      << left.what();
  std::atomic<bool> is_over{false};
  const Error late = Failure(2, {.timeout_seconds = 0.2}, [&](World& world) {
    Memory memory = world.data->Allocate(1000);
    if (world.rank() == 1) {
      while (!is_over) std::this_thread::yield();
      return;
    }
    StartOne(world, memory, 10);
    try {
      world.data->Complete();
    } catch (...) {
      is_over = true;
      throw;
    }
  });
  EXPECT_NE(std::string(late.what()).find("has not come within"), std::string::npos) << late.what();
}

TEST(SharedMemory, ARankThatFailsEndsTheOthersWaiting) {
  const Error error = Failure(3, {}, [](World& world) {
    if (world.rank() == 1) throw Error(ErrorKind::kBadData, "file is broken");
    EXPECT_THROW(ReduceOne(world, 100000), Error);
    throw Error(ErrorKind::kCommunication, "echo");
  });
  EXPECT_TRUE(error.kind() == ErrorKind::kBadData || error.kind() == ErrorKind::kCommunication);
}

TEST(SharedMemory, ARankThatDoesNotComeIsNamedInTime) {
  std::atomic<bool> others_are_done{false};
  const Error error = Failure(2, {.timeout_seconds = 0.2}, [&](World& world) {
    if (world.rank() == 1) {
      while (!others_are_done) std::this_thread::yield();
      throw Error(ErrorKind::kCommunication, "late");
    }
    try {
      ReduceOne(world, 100000);
    } catch (const Error& late) {
      others_are_done = true;
      EXPECT_NE(std::string(late.what()).find("rank 0 waits for rank 1, which has not come"),
                std::string::npos)
          << late.what();
      EXPECT_NE(std::string(late.what()).find("AllReduce, call 0: sum of 100000 float32"),
                std::string::npos)
          << late.what();
      throw;
    }
  });
  EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
}

TEST(SharedMemory, ALongWaitCallsTheHook) {
  std::atomic<bool> called{false};
  const auto on_wait = [&](double waited_seconds, const std::string& text) {
    EXPECT_GE(waited_seconds, 1);
    EXPECT_NE(text.find("rank 0 waits for rank 1 in Barrier"), std::string::npos) << text;
    called = true;
  };
  RunSharedMemoryWorld(2, {.on_wait = on_wait}, [&](World& world) {
    while (world.rank() == 1 && !called) std::this_thread::yield();
    world.data->Barrier();
  });
  EXPECT_TRUE(called);
}

TEST(SharedMemory, DifferentCallsAreNamedOnBothSides) {
  const Error error = Failure(2, {}, [](World& world) {
    float value = 0;
    const Buffer buffer{&value, 1, DType::kFloat32, Device{}};
    if (world.rank() == 0) world.data->AllReduce(buffer, ReduceOp::kSum, Stream{});
    if (world.rank() == 1) world.data->Broadcast(buffer, 0, Stream{});
  });
  EXPECT_NE(std::string(error.what()).find("AllReduce"), std::string::npos) << error.what();
  EXPECT_NE(std::string(error.what()).find("Broadcast"), std::string::npos) << error.what();
}

TEST(SharedMemory, MemoryMustBeReleasedBeforeClose) {
  const Error error = Failure(2, {}, [](World& world) {
    const Memory memory = world.data->Allocate(64);
    world.Close();
  });
  EXPECT_EQ(error.kind(), ErrorKind::kInternal) << error.what();
}

TEST(SharedMemory, WithoutRoomForALargeBufferItIsCopied) {
  // Staging is reservation 0 of each rank; with one rank's second refused, none has it.
  SetFaults("shared_memory.reserve@1+:1=errno:ENOSPC");
  RunSharedMemoryWorld(2, {.sources = {SegmentSource::kDevShm}}, [](World& world) {
    Memory memory = world.data->Allocate(400000);
    float* data = static_cast<float*>(memory.data());
    data[99999] = 2;
    world.data->AllReduce({data, 100000, DType::kFloat32, Device{}}, ReduceOp::kSum, Stream{});
    EXPECT_EQ(data[99999], 4);
    memory = Memory();
    world.Close();
  });
  SetFaults("");
}

// Rank 0 makes it, the others open it; staging was reservation 0 of each rank and opening 0 of rank 1.
TEST(SharedMemory, MemoryInCommonIsForAllOrForNone) {
  if (HasSeveralNumaNodes()) GTEST_SKIP() << "each rank has memory of its own nearer";
  for (const std::string fault :
       {"", "shared_memory.reserve@1+:0=errno:ENOSPC", "shared_memory.open@1+:1=errno:ENOENT"}) {
    SetFaults(fault);
    RunSharedMemoryWorld(2, {.sources = {SegmentSource::kMemfd}}, [&](World& world) {
      Memory memory = world.data->AllocateShared(5 << 20);
      EXPECT_EQ(memory.data() != nullptr, fault.empty()) << fault;
      memory = Memory();
      ReduceOne(world, 1000);  // the ranks still agree where they are
      world.Close();
    });
    SetFaults("");
  }
}

TEST(SharedMemory, NothingIsLeftInDevShm) {
  const auto ours = [] {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
      const std::string mine = "breakeven." + std::to_string(::getpid());
      count += entry.path().filename().string().starts_with(mine);
    }
    return count;
  };
  RunSharedMemoryWorld(3, {.sources = {SegmentSource::kDevShm}}, [&](World& world) {
    const Memory memory = world.data->Allocate(5 << 20);
    world.control->Barrier();  // sealed by all: a kill would leave nothing from here on
    EXPECT_EQ(ours(), 0);
    ReduceOne(world, 100000);
  });
  EXPECT_EQ(ours(), 0);
}

}  // namespace
}  // namespace breakeven
