// Matrix products of training and scoring: which library or kernel makes which one.
//
// On CPUs few rows on the left: few_rows_product.h. More: packed_product.h, bfloat16 where there is AMX, and both types in
// AVX-512 on processors that are not Intel's; on Intel's MKL is at the limit. Everything else goes by ATen: MKL, oneDNN, cuBLAS.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_MATRIX_PRODUCT_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_MATRIX_PRODUCT_H_

#include <ATen/ATen.h>

namespace breakeven {

// left_RK · right_KN, [R, N] in their type. Either may be a transposed view.
at::Tensor Multiply(const at::Tensor& left_RK, const at::Tensor& right_KN);

// out_RN = left_RK · right_KN, or += where `adds`; out is contiguous. Sides of bfloat16 may give a float32
// `out`: then the product is summed in float32 and never rounded. K = 0 is a product of zeros.
void MultiplyInto(const at::Tensor& out_RN, const at::Tensor& left_RK, const at::Tensor& right_KN,
                  bool adds = false);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_MATRIX_PRODUCT_H_
