// What the data plane must do.
#include "tests/comm/communicator_contract.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

#include "comm/base/hash.h"
#include "tests/comm/communicator_contract_values.h"

namespace breakeven::contract {
namespace {

constexpr char kGuard = 0x5a;

// Two elements of guard on each side of what a collective may write.
class GuardedBuffer {
 public:
  GuardedBuffer(DType dtype, int64_t count)
      : bytes_(static_cast<size_t>((count + 4) * SizeOf(dtype)), kGuard) {
    buffer = {bytes_.data() + 2 * SizeOf(dtype), count, dtype, Device{}};
  }
  void Fill(int rank, int64_t first = 0) {
    const std::vector<char> values = Values(buffer.dtype, buffer.count, rank, first);
    if (!values.empty()) std::memcpy(buffer.data, values.data(), values.size());
  }
  void ExpectGuards(const std::string& what) const {
    const size_t width = static_cast<size_t>(2 * SizeOf(buffer.dtype));
    for (size_t i = 0; i < width; ++i) {
      Expect(bytes_[i] == kGuard, what + ": wrote before the buffer");
      Expect(bytes_[bytes_.size() - 1 - i] == kGuard, what + ": wrote behind the buffer");
    }
  }
  Buffer buffer;

 private:
  std::vector<char> bytes_;
};

Buffer Part(const Buffer& whole, int rank, int64_t count) {
  Buffer part = whole;
  part.data = static_cast<char*>(whole.data) + rank * count * SizeOf(whole.dtype);
  part.count = count;
  return part;
}

void AllocateGivesZeroedAlignedMemory(World& world) {
  for (const int64_t num_bytes : {0, 1, 63, 64, 4097, 5 << 20}) {
    Memory memory = world.data->Allocate(num_bytes);
    Expect(memory.num_bytes() == num_bytes, "size is not what was asked for");
    Expect(memory.data() != nullptr, "no memory");
    Expect(reinterpret_cast<uintptr_t>(memory.data()) % 64 == 0, "not aligned to 64 bytes");
    char* bytes = static_cast<char*>(memory.data());
    int64_t num_zero = 0;
    for (int64_t i = 0; i < num_bytes; ++i) num_zero += bytes[i] == 0;
    Expect(num_zero == num_bytes, std::to_string(num_bytes - num_zero) + " bytes are not zero");
    std::memset(bytes, 1, static_cast<size_t>(num_bytes));
  }
}

void AllReduceOne(World& world, DType dtype, ReduceOp op, int64_t count) {
  GuardedBuffer guarded(dtype, count);
  guarded.Fill(world.rank());
  world.data->AllReduce(guarded.buffer, op, Stream{});
  const std::string what = "AllReduce " + Name(dtype, op, count);
  ExpectSameBytes(guarded.buffer.data, Reduced(dtype, op, count, world.world_size()), dtype, what);
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
  const std::vector<char> mine = Values(DType::kFloat32, count, world.rank());
  std::memcpy(memory.data(), mine.data(), mine.size());
  // A bucket that starts in the middle: its bits are those of the whole.
  Buffer bucket{static_cast<float*>(memory.data()) + 1001, 50000, DType::kFloat32, Device{}};
  world.data->AllReduce(bucket, ReduceOp::kSum, Stream{});
  const float* values = static_cast<const float*>(memory.data());
  ExpectSameBytes(values, Values(DType::kFloat32, 1001, world.rank()), DType::kFloat32,
                  "before the bucket");
  ExpectSameBytes(bucket.data,
                  Reduced(DType::kFloat32, ReduceOp::kSum, 50000, world.world_size(), 1001),
                  DType::kFloat32, "the bucket");
  ExpectSameBytes(values + 51001, Values(DType::kFloat32, count - 51001, world.rank(), 51001),
                  DType::kFloat32, "behind the bucket");
}

void SumsHaveTheSameBitsOnAllRanksAndAgain(World& world) {
  const int64_t count = 300007 / kShorter;
  std::string first;
  for (int repeat = 0; repeat < 3; ++repeat) {
    GuardedBuffer guarded(DType::kFloat32, count);
    guarded.Fill(world.rank());
    world.data->AllReduce(guarded.buffer, ReduceOp::kSum, Stream{});
    const std::string hash = HashHex(Hash64(guarded.buffer.data, count * 4));
    CheckSameOnAllRanks(*world.control, ErrorKind::kInternal, "the sum's hash", hash);
    Expect(repeat == 0 || hash == first, "another run gave other bits");
    first = hash;
  }
}

void NonFiniteValuesArrive(World& world) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const bool last = world.rank() == world.world_size() - 1;
  for (const ReduceOp op : kOps) {
    // A NaN of the last rank, a NaN of rank 0, an infinity of the last rank, nothing.
    float values[4] = {last ? nan : 1, world.is_root() ? nan : 1, last ? infinity : 1, 1};
    world.data->AllReduce({values, 4, DType::kFloat32, Device{}}, op, Stream{});
    Expect(std::isnan(values[0]) && std::isnan(values[1]), "a NaN was lost");
    const bool keeps_infinity = op != ReduceOp::kMin || world.world_size() == 1;
    Expect(std::isinf(values[2]) == keeps_infinity, "an infinity was lost or invented");
    Expect(std::isfinite(values[3]), "a finite value became infinite");
  }
  uint16_t bits = last ? 0x7fff : 0x3f80;  // bfloat16 NaN with all payload bits, or 1
  world.data->AllReduce({&bits, 1, DType::kBFloat16, Device{}}, ReduceOp::kSum, Stream{});
  Expect(std::isnan(FromBFloat16(bits)), "a bfloat16 NaN was lost in rounding");
}

void ReduceScatterGivesEachRankItsPart(World& world) {
  const int n = world.world_size();
  for (const DType dtype : kDTypes) {
    for (const ReduceOp op : kOps) {
      for (const int64_t count : {0, 1, 3, 1000, 4099}) {
        for (const bool in_place : {false, true}) {
          GuardedBuffer in(dtype, count * n);
          GuardedBuffer apart(dtype, count);
          in.Fill(world.rank());
          const Buffer out = in_place ? Part(in.buffer, world.rank(), count) : apart.buffer;
          world.data->ReduceScatter(in.buffer, out, op, Stream{});
          const std::string what = std::string("ReduceScatter ") +
                                   (in_place ? "in place, " : "apart, ") + Name(dtype, op, count);
          ExpectSameBytes(out.data, Reduced(dtype, op, count, n, world.rank() * count), dtype,
                          what);
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
  GuardedBuffer whole(DType::kFloat32, count * n);
  whole.Fill(world.rank());
  const Buffer part = Part(whole.buffer, world.rank(), count);
  world.data->ReduceScatter(whole.buffer, part, ReduceOp::kSum, Stream{});
  world.data->AllGather(part, whole.buffer, Stream{});
  ExpectSameBytes(whole.buffer.data, Reduced(DType::kFloat32, ReduceOp::kSum, count * n, n),
                  DType::kFloat32, "ReduceScatter then AllGather");
}

void AllGatherCollectsInOrderOfRank(World& world) {
  const int n = world.world_size();
  for (const DType dtype : kDTypes) {
    for (const int64_t count : {0, 1, 3, 1000}) {
      for (const bool in_place : {false, true}) {
        GuardedBuffer out(dtype, count * n);
        GuardedBuffer apart(dtype, count);
        apart.Fill(world.rank());
        const Buffer place = Part(out.buffer, world.rank(), count);
        if (in_place && count > 0) {
          std::memcpy(place.data, apart.buffer.data, static_cast<size_t>(count * SizeOf(dtype)));
        }
        world.data->AllGather(in_place ? place : apart.buffer, out.buffer, Stream{});
        const std::string what = "AllGather of " + std::to_string(count);
        for (int r = 0; r < n; ++r) {
          ExpectSameBytes(Part(out.buffer, r, count).data, Values(dtype, count, r), dtype, what);
        }
        out.ExpectGuards(what);
      }
    }
  }
}

void BroadcastReachesAllFromEveryRoot(World& world) {
  for (int root = 0; root < world.world_size(); ++root) {
    for (const int64_t count : {0, 1, 1000, 3000000 / kShorter}) {
      GuardedBuffer guarded(DType::kFloat32, count);
      guarded.Fill(world.rank());
      world.data->Broadcast(guarded.buffer, root, Stream{});
      const std::string what = "Broadcast from " + std::to_string(root);
      ExpectSameBytes(guarded.buffer.data, Values(DType::kFloat32, count, root), DType::kFloat32,
                      what);
      guarded.ExpectGuards(what);
    }
  }
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
      {"AllocateGivesZeroedAlignedMemory", AllocateGivesZeroedAlignedMemory},
      {"AllReduceFoldsInOrderOfRank", AllReduceFoldsInOrderOfRank},
      {"AllReduceOfLongBuffers", AllReduceOfLongBuffers},
      {"AllReduceInAllocatedMemory", AllReduceInAllocatedMemory},
      {"SumsHaveTheSameBitsOnAllRanksAndAgain", SumsHaveTheSameBitsOnAllRanksAndAgain},
      {"NonFiniteValuesArrive", NonFiniteValuesArrive},
      {"ReduceScatterGivesEachRankItsPart", ReduceScatterGivesEachRankItsPart},
      {"ReduceScatterThenAllGatherIsAllReduce", ReduceScatterThenAllGatherIsAllReduce},
      {"AllGatherCollectsInOrderOfRank", AllGatherCollectsInOrderOfRank},
      {"BroadcastReachesAllFromEveryRoot", BroadcastReachesAllFromEveryRoot},
      {"BarriersDoNotMixWithTheOtherPlane", BarriersDoNotMixWithTheOtherPlane},
      {"PlanesWorkAtOnceFromTwoThreads", PlanesWorkAtOnceFromTwoThreads},
  };
}

}  // namespace breakeven::contract
