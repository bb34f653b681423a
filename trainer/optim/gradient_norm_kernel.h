// Pure. The arithmetic of a gradient's norm on the host.
#ifndef BREAKEVEN_TRAINER_OPTIM_GRADIENT_NORM_KERNEL_H_
#define BREAKEVEN_TRAINER_OPTIM_GRADIENT_NORM_KERNEL_H_

#include <cstdint>

namespace breakeven {

// sums[b] = Σ data[i]² in double, over block b of `block` elements (a multiple of 32) of data [count]; the last block may have
// fewer. The order depends on a place within its block alone, and the instruction set changes no bit: squares of floats
// are exact in double.
void SumSquaresOfBlocks(const float* data, int64_t count, int64_t block, double* sums);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_OPTIM_GRADIENT_NORM_KERNEL_H_
