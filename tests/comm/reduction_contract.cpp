// What the data plane must do when it reduces: which values, in which order of rank, to which bits.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>
#include <utility>
#include <vector>

#include "comm/base/hash.h"
#include "tests/comm/communicator_contract.h"
#include "tests/comm/contract_buffers.h"

namespace breakeven::contract {
namespace {

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
    std::vector<std::pair<int64_t, int64_t>> done;  // calls, and where their pieces begin
    int64_t num_elements = 0;
    for (int64_t call = 0; call < num_calls; ++call) {
      const Buffer whole = buffer_of(call);
      Write(world.device, whole.data, Values(whole.dtype, whole.count, world.rank()));
      if (world.rank() % 2 == 1 && call % 5 == 0) std::this_thread::yield();
      world.data->StartReduceScatter(whole, ReduceOp::kSum,
                                     [&done, &num_elements, call](int64_t begin, int64_t count) {
                                       done.emplace_back(call, begin);
                                       num_elements += count;
                                     });
      if (call % 3 == world.rank() % 3) world.data->Progress();
    }
    world.data->Complete();
    int64_t expected = 0;
    for (int64_t call = 0; call < num_calls; ++call) expected += buffer_of(call).count / n;
    Expect(static_cast<int64_t>(done.size()) == num_calls &&
               std::is_sorted(done.begin(), done.end()) && num_elements == expected,
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

}  // namespace

std::vector<Check> ReductionChecks() {
  return {
      {"AllReduceFoldsInOrderOfRank", AllReduceFoldsInOrderOfRank},
      {"AllReduceOfLongBuffers", AllReduceOfLongBuffers},
      {"AllReduceInAllocatedMemory", AllReduceInAllocatedMemory, true},
      {"SumsHaveTheSameBitsOnAllRanksAndAgain", SumsHaveTheSameBitsOnAllRanksAndAgain},
      {"NonFiniteValuesArrive", NonFiniteValuesArrive},
      {"ReduceScatterGivesEachRankItsPart", ReduceScatterGivesEachRankItsPart},
      {"ReduceScatterThenAllGatherIsAllReduce", ReduceScatterThenAllGatherIsAllReduce},
      {"StartedCallsComeOutAsIfAwaited", StartedCallsComeOutAsIfAwaited, true},
  };
}

}  // namespace breakeven::contract
