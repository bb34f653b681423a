// The one matrix product that ATen has no function for on CPUs.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_MATRIX_PRODUCT_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_MATRIX_PRODUCT_H_

#include <ATen/ATen.h>

namespace breakeven {

// sink_MN += left_TMᵀ · right_TN: how a weight's gradient grows. The sink is float32 and contiguous;
// left and right are both float32 or both bfloat16, contiguous. bfloat16 is multiplied and summed in
// float32 and never rounded on GPUs, and where MKL has AVX512-BF16 or AMX under it; else the product is rounded
// to bfloat16 once before it is added.
void AddTransposedProduct(const at::Tensor& sink_MN, const at::Tensor& left_TM,
                          const at::Tensor& right_TN);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_MATRIX_PRODUCT_H_
