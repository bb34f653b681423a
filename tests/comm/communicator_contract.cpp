// What the data plane must do.
#include "tests/comm/communicator_contract.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

#include "comm/base/hash.h"
#include "tests/comm/communicator_contract_values.h"
#include "tests/comm/contract_memory.h"

namespace breakeven::contract {
namespace {

constexpr char kGuard = 0x5a;

// Two elements of guard on each side of what a collective may write.
class GuardedBuffer {
 public:
  GuardedBuffer(const World& world, DType dtype, int64_t count)
      : memory_(MakeMemory(world.device, (count + 4) * SizeOf(dtype))) {
    Write(world.device, memory_.data(),
          std::vector<char>(static_cast<size_t>(memory_.num_bytes()), kGuard));
    buffer = {static_cast<char*>(memory_.data()) + 2 * SizeOf(dtype), count, dtype, world.device};
  }
  void Fill(int rank, int64_t first = 0) {
    Write(buffer.device, buffer.data, Values(buffer.dtype, buffer.count, rank, first));
  }
  void ExpectGuards(const std::string& what) const {
    const size_t width = static_cast<size_t>(2 * SizeOf(buffer.dtype));
    const std::vector<char> bytes = Read(buffer.device, memory_.data(), memory_.num_bytes());
    for (size_t i = 0; i < width; ++i) {
      Expect(bytes[i] == kGuard, what + ": wrote before the buffer");
      Expect(bytes[bytes.size() - 1 - i] == kGuard, what + ": wrote behind the buffer");
    }
  }
  Buffer buffer;

 private:
  Memory memory_;
};

Buffer Part(const Buffer& whole, int rank, int64_t count) {
  Buffer part = whole;
  part.data = static_cast<char*>(whole.data) + rank * count * SizeOf(whole.dtype);
  part.count = count;
  return part;
}

std::vector<char> Contents(const Buffer& buffer) {
  return Read(buffer.device, buffer.data, buffer.count * SizeOf(buffer.dtype));
}

void ExpectValues(const Buffer& buffer, int rank, int64_t first, const std::string& what) {
  ExpectSameBytes(Contents(buffer).data(), Values(buffer.dtype, buffer.count, rank, first),
                  buffer.dtype, what);
}

// Whether sums of floats are folded in order of rank, to the bit; NCCL has its own order.
bool FoldsInOrder(const World& world) { return world.data->name() != "nccl"; }

// That the buffer holds elements `first` and on of the reduction over all ranks.
void ExpectReduced(const World& world, const Buffer& buffer, ReduceOp op, int64_t first,
                   const std::string& what) {
  const int n = world.world_size();
  const DType dtype = buffer.dtype;
  const bool real =
      dtype == DType::kFloat32 || dtype == DType::kFloat64 || dtype == DType::kBFloat16;
  if (op == ReduceOp::kSum && real && !FoldsInOrder(world)) {
    ExpectSumToRounding(Contents(buffer), dtype, buffer.count, n, first, what);
  } else {
    ExpectSameBytes(Contents(buffer).data(), Reduced(dtype, op, buffer.count, n, first), dtype,
                    what);
  }
}

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

void AllReduceOne(World& world, DType dtype, ReduceOp op, int64_t count) {
  GuardedBuffer guarded(world, dtype, count);
  guarded.Fill(world.rank());
  world.data->AllReduce(guarded.buffer, op, Stream{});
  const std::string what = "AllReduce " + Name(dtype, op, count);
  ExpectReduced(world, guarded.buffer, op, 0, what);
  guarded.ExpectGuards(what);
}

void AllReduceFoldsInOrderOfRank(World& world) {
  for (const DType dtype : kDTypes) {
    for (const ReduceOp op : kOps) {
      for (const int64_t count : {0, 1, 2, 3, 5, 63, 64, 65, 1000, 4099}) {
        AllReduceOne(world, dtype, op, count);
      }
    }
  }
}

// Beyond every internal piece size, not a multiple of anything.
void AllReduceOfLongBuffers(World& world) {
  AllReduceOne(world, DType::kFloat32, ReduceOp::kSum, (2 << 20) / kShorter + 12345);
  AllReduceOne(world, DType::kBFloat16, ReduceOp::kSum, (2 << 20) / kShorter + 77);
}

void AllReduceInAllocatedMemory(World& world) {
  const int64_t count = 100003;
  Memory memory = world.data->Allocate(count * 4);
  const Buffer whole{memory.data(), count, DType::kFloat32, world.device};
  Write(world.device, memory.data(), Values(DType::kFloat32, count, world.rank()));
  // A bucket that starts in the middle: its bits are those of the whole.
  const auto range = [&](int64_t first, int64_t size) {
    Buffer part = whole;
    part.data = static_cast<float*>(whole.data) + first;
    part.count = size;
    return part;
  };
  world.data->AllReduce(range(1001, 50000), ReduceOp::kSum, Stream{});
  ExpectValues(range(0, 1001), world.rank(), 0, "before the bucket");
  ExpectReduced(world, range(1001, 50000), ReduceOp::kSum, 1001, "the bucket");
  ExpectValues(range(51001, count - 51001), world.rank(), 51001, "behind the bucket");
}

void SumsHaveTheSameBitsOnAllRanksAndAgain(World& world) {
  const int64_t count = 300007 / kShorter;
  std::string first;
  for (int repeat = 0; repeat < 3; ++repeat) {
    GuardedBuffer guarded(world, DType::kFloat32, count);
    guarded.Fill(world.rank());
    world.data->AllReduce(guarded.buffer, ReduceOp::kSum, Stream{});
    const std::string hash = HashHex(Hash64(Contents(guarded.buffer).data(), count * 4));
    CheckSameOnAllRanks(*world.control, ErrorKind::kInternal, "the sum's hash", hash);
    Expect(repeat == 0 || hash == first, "another run gave other bits");
    first = hash;
  }
}

// The reduction of this rank's `values`.
template <typename T>
std::vector<T> AllReduced(World& world, const std::vector<T>& values, DType dtype, ReduceOp op) {
  const size_t num_bytes = values.size() * sizeof(T);
  GuardedBuffer guarded(world, dtype, static_cast<int64_t>(values.size()));
  const char* bytes = reinterpret_cast<const char*>(values.data());
  Write(world.device, guarded.buffer.data, std::vector<char>(bytes, bytes + num_bytes));
  world.data->AllReduce(guarded.buffer, op, Stream{});
  std::vector<T> result(values.size());
  std::memcpy(result.data(), Contents(guarded.buffer).data(), num_bytes);
  return result;
}

void NonFiniteValuesArrive(World& world) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const bool last = world.rank() == world.world_size() - 1;
  for (const ReduceOp op : kOps) {
    // A NaN of the last rank, a NaN of rank 0, an infinity of the last rank, nothing.
    const std::vector<float> values = AllReduced<float>(
        world, {last ? nan : 1, world.is_root() ? nan : 1, last ? infinity : 1, 1}, DType::kFloat32,
        op);
    // A back end that reduces in its own way may lose it in a maximum, never in a sum.
    if (op == ReduceOp::kSum || FoldsInOrder(world)) {
      Expect(std::isnan(values[0]) && std::isnan(values[1]), "a NaN was lost");
    }
    const bool keeps_infinity = op != ReduceOp::kMin || world.world_size() == 1;
    Expect(std::isinf(values[2]) == keeps_infinity, "an infinity was lost or invented");
    Expect(std::isfinite(values[3]), "a finite value became infinite");
  }
  const uint16_t bits = last ? 0x7fff : 0x3f80;  // bfloat16 NaN with all payload bits, or 1
  const auto sum = AllReduced<uint16_t>(world, {bits}, DType::kBFloat16, ReduceOp::kSum);
  Expect(std::isnan(FromBFloat16(sum[0])), "a bfloat16 NaN was lost in rounding");
}

void ReduceScatterGivesEachRankItsPart(World& world) {
  const int n = world.world_size();
  for (const DType dtype : kDTypes) {
    for (const ReduceOp op : kOps) {
      for (const int64_t count : {0, 1, 3, 1000, 4099}) {
        for (const bool in_place : {false, true}) {
          GuardedBuffer in(world, dtype, count * n);
          GuardedBuffer apart(world, dtype, count);
          in.Fill(world.rank());
          const Buffer out = in_place ? Part(in.buffer, world.rank(), count) : apart.buffer;
          world.data->ReduceScatter(in.buffer, out, op, Stream{});
          const std::string what = std::string("ReduceScatter ") +
                                   (in_place ? "in place, " : "apart, ") + Name(dtype, op, count);
          ExpectReduced(world, out, op, world.rank() * count, what);
          in.ExpectGuards(what);
          apart.ExpectGuards(what);
        }
      }
    }
  }
}

void ReduceScatterThenAllGatherIsAllReduce(World& world) {
  const int n = world.world_size();
  const int64_t count = 700001 / kShorter;
  GuardedBuffer whole(world, DType::kFloat32, count * n);
  whole.Fill(world.rank());
  const Buffer part = Part(whole.buffer, world.rank(), count);
  world.data->ReduceScatter(whole.buffer, part, ReduceOp::kSum, Stream{});
  world.data->AllGather(part, whole.buffer, Stream{});
  ExpectReduced(world, whole.buffer, ReduceOp::kSum, 0, "ReduceScatter then AllGather");
}

// More calls than a queue holds, of sizes with and without elements, started by ranks that keep no step: what comes out is what
// the waiting collectives give.
void StartedCallsComeOutAsIfAwaited(World& world) {
  const int n = world.world_size();
  constexpr int64_t kLargest = 400;
  for (const int64_t num_calls : {3, world.data->starts_wait() ? 30 : 300}) {
    Memory memory = world.data->Allocate(num_calls * kLargest * n * SizeOf(DType::kFloat32));
    const auto buffer_of = [&](int64_t call) {
      const int64_t count = call % 7 == 0 ? 0 : kLargest - call;
      return Buffer{static_cast<float*>(memory.data()) + call * kLargest * n, count * n,
                    DType::kFloat32, world.device};
    };
    std::vector<int64_t> done;
    for (int64_t call = 0; call < num_calls; ++call) {
      const Buffer whole = buffer_of(call);
      Write(world.device, whole.data, Values(whole.dtype, whole.count, world.rank()));
      if (world.rank() % 2 == 1 && call % 5 == 0) std::this_thread::yield();
      world.data->StartReduceScatter(whole, ReduceOp::kSum,
                                     [&done, call] { done.push_back(call); });
      if (call % 3 == world.rank() % 3) world.data->Progress();
    }
    world.data->Complete();
    Expect(
        static_cast<int64_t>(done.size()) == num_calls && std::is_sorted(done.begin(), done.end()),
        "every call is done once, in order of start");
    world.data->Barrier();
    for (int64_t call = 0; call < num_calls; ++call) {
      const Buffer whole = buffer_of(call);
      const int64_t count = whole.count / n;
      ExpectReduced(world, Part(whole, world.rank(), count), ReduceOp::kSum, world.rank() * count,
                    "StartReduceScatter " + std::to_string(call));
      world.data->StartAllGather(whole);
    }
    world.data->Complete();
    for (int64_t call = 0; call < num_calls; ++call) {
      ExpectReduced(world, buffer_of(call), ReduceOp::kSum, 0,
                    "StartAllGather " + std::to_string(call));
    }
    world.data->Barrier();
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
  return {
      {"AllocateGivesZeroedAlignedMemory", AllocateGivesZeroedAlignedMemory, true},
      {"SharedMemoryIsOneForAll", SharedMemoryIsOneForAll, true},
      {"AllReduceFoldsInOrderOfRank", AllReduceFoldsInOrderOfRank},
      {"AllReduceOfLongBuffers", AllReduceOfLongBuffers},
      {"AllReduceInAllocatedMemory", AllReduceInAllocatedMemory, true},
      {"SumsHaveTheSameBitsOnAllRanksAndAgain", SumsHaveTheSameBitsOnAllRanksAndAgain},
      {"NonFiniteValuesArrive", NonFiniteValuesArrive},
      {"ReduceScatterGivesEachRankItsPart", ReduceScatterGivesEachRankItsPart},
      {"ReduceScatterThenAllGatherIsAllReduce", ReduceScatterThenAllGatherIsAllReduce},
      {"StartedCallsComeOutAsIfAwaited", StartedCallsComeOutAsIfAwaited, true},
      {"AllGatherCollectsInOrderOfRank", AllGatherCollectsInOrderOfRank},
      {"BroadcastReachesAllFromEveryRoot", BroadcastReachesAllFromEveryRoot},
      {"GroupsGiveWhatTheirMembersGive", GroupsGiveWhatTheirMembersGive},
      {"BarriersDoNotMixWithTheOtherPlane", BarriersDoNotMixWithTheOtherPlane},
      {"PlanesWorkAtOnceFromTwoThreads", PlanesWorkAtOnceFromTwoThreads},
  };
}

}  // namespace breakeven::contract
