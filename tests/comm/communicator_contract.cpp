// What the data plane must do; when it reduces: reduction_contract.cpp.
#include "tests/comm/communicator_contract.h"

#include <algorithm>
#include <thread>

#include "tests/comm/contract_buffers.h"

namespace breakeven::contract {
namespace {

void AllocateGivesZeroedAlignedMemory(World& world) {
  for (const int64_t num_bytes : {0, 1, 63, 64, 4097, 5 << 20}) {
    Memory memory = world.data->Allocate(num_bytes);
    Expect(memory.num_bytes() == num_bytes, "size is not what was asked for");
    Expect(memory.data() != nullptr, "no memory");
    Expect(reinterpret_cast<uintptr_t>(memory.data()) % 64 == 0, "not aligned to 64 bytes");
    int64_t num_zero = 0;
    for (const char byte : Read(world.device, memory.data(), num_bytes)) num_zero += byte == 0;
    Expect(num_zero == num_bytes, std::to_string(num_bytes - num_zero) + " bytes are not zero");
    Write(world.device, memory.data(), std::vector<char>(static_cast<size_t>(num_bytes), 1));
  }
}

// One memory for all ranks, or none for any.
void SharedMemoryIsOneForAll(World& world) {
  constexpr int64_t kOwn = 1000;
  const int n = world.world_size();
  const Memory memory = world.data->AllocateShared(n * kOwn);
  const int64_t has = memory.data() != nullptr ? 1 : 0;
  Expect(world.control->AllReduce(has, ReduceOp::kMax) == has, "only some ranks have it");
  if (has == 0) {
    return Expect(world.data->name() != "thread", "threads have all memory in common");
  }
  Expect(memory.num_bytes() == n * kOwn, "size is not what was asked for");
  Expect(reinterpret_cast<uintptr_t>(memory.data()) % 64 == 0, "not aligned to 64 bytes");
  auto* bytes = static_cast<char*>(memory.data());
  Expect(std::count(bytes, bytes + n * kOwn, 0) == n * kOwn, "not zero");
  world.data->Barrier();  // all have looked
  std::fill_n(bytes + world.rank() * kOwn, kOwn, static_cast<char>(world.rank() + 1));
  world.data->Barrier();
  for (int r = 0; r < n; ++r) {
    Expect(std::count(bytes + r * kOwn, bytes + (r + 1) * kOwn, r + 1) == kOwn,
           "what rank " + std::to_string(r) + " wrote is not there");
  }
}

void AllGatherCollectsInOrderOfRank(World& world) {
  const int n = world.world_size();
  for (const DType dtype : kDTypes) {
    for (const int64_t count : {0, 1, 3, 1000}) {
      for (const bool in_place : {false, true}) {
        GuardedBuffer out(world, dtype, count * n);
        GuardedBuffer apart(world, dtype, count);
        apart.Fill(world.rank());
        const Buffer place = Part(out.buffer, world.rank(), count);
        if (in_place) Write(world.device, place.data, Contents(apart.buffer));
        world.data->AllGather(in_place ? place : apart.buffer, out.buffer, Stream{});
        const std::string what = "AllGather of " + std::to_string(count);
        for (int r = 0; r < n; ++r) {
          ExpectValues(Part(out.buffer, r, count), r, 0, what);
        }
        out.ExpectGuards(what);
      }
    }
  }
}

void BroadcastReachesAllFromEveryRoot(World& world) {
  for (int root = 0; root < world.world_size(); ++root) {
    for (const int64_t count : {0, 1, 1000, 3000000 / kShorter}) {
      GuardedBuffer guarded(world, DType::kFloat32, count);
      guarded.Fill(world.rank());
      world.data->Broadcast(guarded.buffer, root, Stream{});
      const std::string what = "Broadcast from " + std::to_string(root);
      ExpectValues(guarded.buffer, root, 0, what);
      guarded.ExpectGuards(what);
    }
  }
}

// Several buckets in one launch, with an empty one and other kinds of collective among them.
void GroupsGiveWhatTheirMembersGive(World& world) {
  const int n = world.world_size();
  for (int repeat = 0; repeat < 2; ++repeat) {
    GuardedBuffer floats(world, DType::kFloat32, 5001);
    GuardedBuffer nothing(world, DType::kFloat32, 0);
    GuardedBuffer counts(world, DType::kInt64, 7);
    GuardedBuffer copied(world, DType::kUInt8, 333);
    GuardedBuffer gathered(world, DType::kInt32, 11 * n);
    for (GuardedBuffer* each : {&floats, &counts, &copied, &gathered}) each->Fill(world.rank());
    const Buffer mine = Part(gathered.buffer, world.rank(), 11);
    Write(world.device, mine.data, Values(DType::kInt32, 11, world.rank()));

    world.data->BeginGroup();
    world.data->AllReduce(floats.buffer, ReduceOp::kSum, Stream{});
    world.data->AllReduce(nothing.buffer, ReduceOp::kSum, Stream{});
    world.data->AllReduce(counts.buffer, ReduceOp::kMax, Stream{});
    world.data->Broadcast(copied.buffer, n - 1, Stream{});
    world.data->AllGather(mine, gathered.buffer, Stream{});
    world.data->EndGroup();

    ExpectReduced(world, floats.buffer, ReduceOp::kSum, 0, "the group's sum");
    ExpectReduced(world, counts.buffer, ReduceOp::kMax, 0, "the group's maximum");
    ExpectValues(copied.buffer, n - 1, 0, "the group's broadcast");
    for (int r = 0; r < n; ++r) {
      ExpectValues(Part(gathered.buffer, r, 11), r, 0, "the group's all-gather");
    }
  }
  world.data->BeginGroup();
  world.data->EndGroup();  // of nothing
}

void BarriersDoNotMixWithTheOtherPlane(World& world) {
  for (int i = 0; i < 20; ++i) {
    world.data->Barrier();
    if ((i + world.rank()) % 3 == 0) std::this_thread::yield();
    world.control->Barrier();
  }
}

// The data plane in one thread, the control plane in another, as a loader and a watchdog use them.
void PlanesWorkAtOnceFromTwoThreads(World& world) {
  std::exception_ptr failure;
  std::thread other([&] {
    try {
      for (int i = 0; i < 50; ++i) {
        const int64_t sum = world.control->AllReduce(int64_t{i}, ReduceOp::kSum);
        Expect(sum == int64_t{i} * world.world_size(),
               "the control plane saw the data plane's values");
      }
    } catch (...) {
      failure = std::current_exception();
    }
  });
  std::exception_ptr own_failure;
  try {
    for (int i = 0; i < 50; ++i) {
      AllReduceOne(world, DType::kFloat32, ReduceOp::kSum, 20000 + i);
    }
  } catch (...) {
    own_failure = std::current_exception();
  }
  other.join();
  if (own_failure) std::rethrow_exception(own_failure);
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

std::vector<Check> DataChecks() {
  std::vector<Check> checks = {
      {"AllocateGivesZeroedAlignedMemory", AllocateGivesZeroedAlignedMemory, true},
      {"SharedMemoryIsOneForAll", SharedMemoryIsOneForAll, true},
  };
  const std::vector<Check> reductions = ReductionChecks();
  checks.insert(checks.end(), reductions.begin(), reductions.end());
  const std::vector<Check> others = {
      {"AllGatherCollectsInOrderOfRank", AllGatherCollectsInOrderOfRank},
      {"BroadcastReachesAllFromEveryRoot", BroadcastReachesAllFromEveryRoot},
      {"GroupsGiveWhatTheirMembersGive", GroupsGiveWhatTheirMembersGive},
      {"BarriersDoNotMixWithTheOtherPlane", BarriersDoNotMixWithTheOtherPlane},
      {"PlanesWorkAtOnceFromTwoThreads", PlanesWorkAtOnceFromTwoThreads},
  };
  checks.insert(checks.end(), others.begin(), others.end());
  return checks;
}

}  // namespace breakeven::contract
