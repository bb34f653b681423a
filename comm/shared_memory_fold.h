// Pure. ReduceInOrder at memory speed: reads each input once and writes the result to several places.
#ifndef BREAKEVEN_COMM_SHARED_MEMORY_FOLD_H_
#define BREAKEVEN_COMM_SHARED_MEMORY_FOLD_H_

#include <array>
#include <cstdint>
#include <span>

#include "comm/device.h"

namespace breakeven {

enum class Stores {
  kPlain,
  kStreaming,  // past the caches; for ranges far larger than they are, on machines where it is quicker
};

// Which kind of store is quicker on this machine, found out on the job: ranges far larger than the second-level cache are
// written a few times in each way, and then in the quicker one. (Streaming won by a sixth on an EPYC Milan and
// lost by half on a Sapphire Rapids.) Each power of two is tried for itself: what nearly fits the last-level cache and what is
// far larger need not want the same. It changes no bit of the result.
class StoreChoice {
 public:
  Stores Choose(int64_t num_bytes) const;
  void Report(Stores stores, int64_t num_bytes, double seconds);

 private:
  static constexpr int64_t kFewestBytes = int64_t{4} << 20;
  static constexpr int kTrials = 4;  // of each kind
  struct Trials {
    int count = 0;
    double best[2] = {0, 0};  // bytes a second
  };
  std::array<Trials, 64> trials_;  // by the size's number of bits
};

// outputs[k][i] = inputs[0][i] op inputs[1][i] op …, to the bit as ReduceInOrder (comm/reduce.h): the instruction set, the
// kind of store and how a range is cut change nothing. An output may be one of the inputs, and is otherwise apart from all
// of them. At least one input and one output.
void FoldInOrder(DType dtype, ReduceOp op, std::span<const void* const> inputs,
                 std::span<void* const> outputs, int64_t count, Stores stores);

// Of a sum that is handed from node to node: float32 for bfloat16 (rounded once, at the end), else the type itself.
constexpr DType PartialType(DType dtype) {
  return dtype == DType::kBFloat16 ? DType::kFloat32 : dtype;
}
// partial[i] = (partial[i] op) inputs[0][i] op …; `first`: partial holds nothing yet. `partial` is of PartialType(dtype) and
// apart from the inputs.
void FoldPartial(DType dtype, ReduceOp op, std::span<const void* const> inputs, void* partial,
                 int64_t count, bool first);
// Rounds a whole sum to `dtype` and writes it to all outputs. An output may be `partial` itself where the types are equal.
void StorePartial(DType dtype, const void* partial, std::span<void* const> outputs, int64_t count);

// The instruction set that the loader has chosen: "avx512", "avx2" or "baseline".
const char* FoldInstructionSet();

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_SHARED_MEMORY_FOLD_H_
