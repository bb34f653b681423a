// The double's arithmetic: as a ring does it, not in order of rank, so that nobody comes to rely on an order.
#ifndef BREAKEVEN_TESTS_SUPPORT_CUDA_DOUBLE_NCCL_REDUCE_H_
#define BREAKEVEN_TESTS_SUPPORT_CUDA_DOUBLE_NCCL_REDUCE_H_

#include <nccl.h>

#include <cstddef>
#include <vector>

namespace cuda_double {

size_t SizeOf(ncclDataType_t type);

// out[i] over all inputs. Element i belongs to the slice i * n / count, whose fold begins at the rank behind it. bfloat16 is
// rounded at every addition, and max and min drop a NaN, as NCCL may do both.
void RingReduce(ncclDataType_t type, ncclRedOp_t op, const std::vector<const void*>& inputs,
                void* out, size_t count);

}  // namespace cuda_double

#endif  // BREAKEVEN_TESTS_SUPPORT_CUDA_DOUBLE_NCCL_REDUCE_H_
