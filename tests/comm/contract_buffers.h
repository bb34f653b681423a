// Buffers that the contract's checks of the data plane reduce and move, and what must be in them afterwards.
#ifndef BREAKEVEN_TESTS_COMM_CONTRACT_BUFFERS_H_
#define BREAKEVEN_TESTS_COMM_CONTRACT_BUFFERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "comm/world.h"
#include "tests/comm/communicator_contract_values.h"
#include "tests/comm/contract_memory.h"

namespace breakeven::contract {

inline constexpr char kGuard = 0x5a;

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

inline Buffer Part(const Buffer& whole, int rank, int64_t count) {
  Buffer part = whole;
  part.data = static_cast<char*>(whole.data) + rank * count * SizeOf(whole.dtype);
  part.count = count;
  return part;
}

inline std::vector<char> Contents(const Buffer& buffer) {
  return Read(buffer.device, buffer.data, buffer.count * SizeOf(buffer.dtype));
}

inline void ExpectValues(const Buffer& buffer, int rank, int64_t first, const std::string& what) {
  ExpectSameBytes(Contents(buffer).data(), Values(buffer.dtype, buffer.count, rank, first),
                  buffer.dtype, what);
}

// Whether sums of floats are folded in order of rank, to the bit; NCCL has its own order.
inline bool FoldsInOrder(const World& world) { return world.data->name() != "nccl"; }

// That the buffer holds elements `first` and on of the reduction over all ranks.
inline void ExpectReduced(const World& world, const Buffer& buffer, ReduceOp op, int64_t first,
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

inline void AllReduceOne(World& world, DType dtype, ReduceOp op, int64_t count) {
  GuardedBuffer guarded(world, dtype, count);
  guarded.Fill(world.rank());
  world.data->AllReduce(guarded.buffer, op, Stream{});
  const std::string what = "AllReduce " + Name(dtype, op, count);
  ExpectReduced(world, guarded.buffer, op, 0, what);
  guarded.ExpectGuards(what);
}

}  // namespace breakeven::contract

#endif  // BREAKEVEN_TESTS_COMM_CONTRACT_BUFFERS_H_
