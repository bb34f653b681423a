// Pure. The arithmetic of reductions, one for all CPU back ends, so that they agree to the bit.
#ifndef BREAKEVEN_COMM_REDUCE_H_
#define BREAKEVEN_COMM_REDUCE_H_

#include <cstdint>
#include <span>

#include "comm/device.h"

namespace breakeven {

// out[i] = inputs[0][i] op inputs[1][i] op …, folded from the left. float32 is summed in float32, bfloat16 in float32 and
// rounded once (to nearest even), integers wrap. kMax and kMin of a NaN are NaN in every order; of two zeros, either.
// `out` may be one of the inputs, and is otherwise apart from all of them. At least one input.
void ReduceInOrder(DType dtype, ReduceOp op, std::span<const void* const> inputs, void* out,
                   int64_t count);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_REDUCE_H_
