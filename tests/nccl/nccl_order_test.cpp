// What runs when: collectives beside the caller's work, and behind what they depend on.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/nccl/nccl_world.h"

namespace breakeven {
namespace {

using testing::HasSubstr;

class NcclOrder : public NcclTest {};

float* Floats(const Memory& memory) { return static_cast<float*>(memory.data()); }

Buffer All(const World& world, const Memory& memory) {
  return {memory.data(), memory.num_bytes() / 4, DType::kFloat32, world.device};
}

// The work of one name on one device, in order of its beginning.
std::vector<cuda_double::Span> SpansOf(const std::string& what, int device) {
  std::vector<cuda_double::Span> spans;
  for (const cuda_double::Span& span : cuda_double::Trace()) {
    if (span.what == what && span.device == device) spans.push_back(span);
  }
  return spans;
}

TEST_F(NcclOrder, TheHostWaitsForNoCollective) {
  RunNcclWorld(2, PatientOptions(), [](World& world) {
    Memory memory = world.data->Allocate(4096);
    world.data->AllReduce(All(world, memory), ReduceOp::kSum, Stream{});  // connects
    world.data->Barrier();
    Gate gate;
    Launch(world.data->stream(), [&] { gate.Pass(); });
    for (int i = 0; i < 5; ++i) world.data->AllReduce(All(world, memory), ReduceOp::kSum, Stream{});
    EXPECT_EQ(SpansOf("ncclAllReduce", world.device.index).size(), 1u) << "one ran at its call";
    gate.Open();
    world.data->Barrier();
    const auto spans = SpansOf("ncclAllReduce", world.device.index);
    EXPECT_EQ(spans.size(), 6u);
    // Barrier is where the host waits.
    EXPECT_TRUE(std::all_of(spans.begin(), spans.end(), [](const auto& s) { return s.end != 0; }));
    memory = Memory();
    world.Close();
  });
  EXPECT_EQ(cuda_double::NumCalls("cudaStreamSynchronize"), 0);
}

TEST_F(NcclOrder, CollectivesRunBesideCompute) {
  RunNcclWorld(3, PatientOptions(), [](World& world) {
    const ComputeStream compute(world.device);
    Memory memory = world.data->Allocate(4096);
    // Backward goes on until the collective has run: were they one queue, it would wait in vain.
    Gate collective_has_run;
    std::atomic<bool> in_time{false};
    Wait(world.data->stream(), Record(compute.get()));
    Launch(compute.get(), [&] { in_time = collective_has_run.Pass(); });
    world.data->AllReduce(All(world, memory), ReduceOp::kSum, Stream{});
    Launch(world.data->stream(), [&] { collective_has_run.Open(); });
    world.data->Barrier();
    EXPECT_TRUE(Eventually([&] { return in_time.load(); }));
    const auto spans = SpansOf("ncclAllReduce", world.device.index);
    ASSERT_EQ(spans.size(), 1u);
    EXPECT_LT(spans[0].priority, 0) << "not of a higher priority than backward";
    memory = Memory();
    world.Close();
  });
}

// As a training step does it: bucket by bucket behind its gradients, the optimizer behind all buckets.
TEST_F(NcclOrder, EventsOrderGradientsBucketsAndTheOptimizer) {
  constexpr int kBuckets = 4;
  constexpr int64_t kCount = 1000;
  RunNcclWorld(3, PatientOptions(), [](World& world) {
    ComputeStream compute(world.device);
    const Stream reduce = world.data->stream();
    Memory memory = world.data->Allocate(kBuckets * kCount * 4);
    float* gradients = Floats(memory);
    std::vector<float> seen(kBuckets * kCount);
    Gate gate;
    Launch(compute.get(), [&] { gate.Pass(); });  // every gradient is late
    for (int bucket = 0; bucket < kBuckets; ++bucket) {
      float* begin = gradients + bucket * kCount;
      Launch(compute.get(),
             [begin, bucket] { std::fill_n(begin, kCount, static_cast<float>(bucket + 1)); });
      Wait(reduce, Record(compute.get()));
      world.data->AllReduce({begin, kCount, DType::kFloat32, world.device}, ReduceOp::kSum, reduce);
    }
    Wait(compute.get(), Record(reduce));
    Launch(compute.get(), [&] { std::copy_n(gradients, seen.size(), seen.begin()); });
    EXPECT_TRUE(SpansOf("ncclAllReduce", world.device.index).empty()) << "ran before its gradients";
    gate.Open();
    compute.Synchronize();
    for (size_t i = 0; i < seen.size(); ++i) {
      ASSERT_EQ(seen[i], 3.0f * (static_cast<float>(i / kCount) + 1)) << "element " << i;
    }
    world.data->Barrier();
    memory = Memory();
    world.Close();
  });
}

TEST_F(NcclOrder, AnEventIsAPointInTimeNotTheStreamsEnd) {
  RunNcclWorld(1, PatientOptions(), [](World& world) {
    const ComputeStream first(world.device);
    const ComputeStream second(world.device);
    Gate gate;
    Gate passed;
    const Event before = Record(first.get());
    Launch(first.get(), [&] { gate.Pass(); });
    Wait(second.get(), before);
    Launch(second.get(), [&] { passed.Open(); });
    EXPECT_TRUE(passed.Pass()) << "waited for work behind the event";
    gate.Open();
    world.Close();
  });
}

TEST_F(NcclOrder, ACollectiveOnTheCallersStreamIsOrderedThere) {
  RunNcclWorld(2, PatientOptions(), [](World& world) {
    ComputeStream compute(world.device);
    Memory memory = world.data->Allocate(4 * 1000);
    float* values = Floats(memory);
    Launch(compute.get(), [values] { std::fill_n(values, 1000, 2.0f); });
    world.data->AllReduce(All(world, memory), ReduceOp::kSum, compute.get());
    Launch(compute.get(), [values] { std::for_each_n(values, 1000, [](float& v) { v += 1; }); });
    compute.Synchronize();
    EXPECT_EQ(std::count(values, values + 1000, 5.0f), 1000);
    world.data->Barrier();
    memory = Memory();
    world.Close();
  });
}

TEST_F(NcclOrder, AGroupIsLaunchedWhenItEnds) {
  RunNcclWorld(2, PatientOptions(), [](World& world) {
    Memory memory = world.data->Allocate(4096);
    world.data->BeginGroup();
    for (int i = 0; i < 3; ++i) world.data->AllReduce(All(world, memory), ReduceOp::kSum, Stream{});
    EXPECT_TRUE(SpansOf("ncclAllReduce", world.device.index).empty());
    EXPECT_THROW(world.data->Barrier(), Error);
    EXPECT_THROW(world.data->BeginGroup(), Error);
    world.data->EndGroup();
    world.data->Barrier();
    EXPECT_EQ(SpansOf("ncclAllReduce", world.device.index).size(), 3u);
    memory = Memory();
    world.Close();
  });
}

TEST_F(NcclOrder, MemoryGoesWhenTheWorkOnItIsDone) {
  RunNcclWorld(2, PatientOptions(), [](World& world) {
    Memory memory = world.data->Allocate(4096);
    Gate gate;
    Launch(world.data->stream(), [&] { gate.Pass(); });
    world.data->AllReduce(All(world, memory), ReduceOp::kSum, Stream{});
    std::thread opener([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      EXPECT_TRUE(SpansOf("ncclAllReduce", world.device.index).empty());
      gate.Open();
    });
    memory = Memory();
    opener.join();
    EXPECT_EQ(SpansOf("ncclAllReduce", world.device.index).size(), 1u)
        << "freed under a collective";
    world.Close();
  });
}

TEST_F(NcclOrder, EventsAreMadeOnceAndUsedAgain) {
  RunNcclWorld(2, PatientOptions(), [](World& world) {
    Memory memory = world.data->Allocate(256);
    for (int step = 0; step < 50; ++step) {
      for (int i = 0; i < 4; ++i) {
        world.data->AllReduce(All(world, memory), ReduceOp::kSum, Stream{});
      }
      world.data->Barrier();
    }
    memory = Memory();
    world.Close();
  });
  EXPECT_LE(cuda_double::NumCalls("cudaEventCreateWithFlags"), 2 * 4);
  EXPECT_EQ(cuda_double::NumCalls("ncclAllReduce"), 2 * 200);
}

TEST_F(NcclOrder, EmptyCollectivesCostNothing) {
  RunNcclWorld(2, PatientOptions(), [](World& world) {
    world.data->AllReduce({nullptr, 0, DType::kFloat32, world.device}, ReduceOp::kSum, Stream{});
    world.Close();
  });
  EXPECT_EQ(cuda_double::NumCalls("ncclAllReduce"), 0);
}

// What a caller may get wrong is told at the call, on a machine where it would crash or be garbage.
TEST_F(NcclOrder, BuffersAndStreamsOfElsewhereAreBugs) {
  RunNcclWorld(2, PatientOptions(), [](World& world) {
    float host = 0;
    const Device other{1 - world.device.index};
    Memory memory = world.data->Allocate(64);
    const auto fails = [&](Buffer buffer, Stream stream) {
      try {
        world.data->AllReduce(buffer, ReduceOp::kSum, stream);
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kInternal) << error.what();
        return true;
      }
      return false;
    };
    EXPECT_TRUE(fails({&host, 1, DType::kFloat32, Device{}}, Stream{}));
    EXPECT_TRUE(fails({memory.data(), 1, DType::kFloat32, other}, Stream{}));
    EXPECT_TRUE(fails({memory.data(), -1, DType::kFloat32, world.device}, Stream{}));
    EXPECT_TRUE(fails({nullptr, 1, DType::kFloat32, world.device}, Stream{}));
    EXPECT_TRUE(fails(All(world, memory), Stream{nullptr, other}));
    memory = Memory();
    world.Close();
  });
}

}  // namespace
}  // namespace breakeven
