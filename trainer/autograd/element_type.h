// Between tensors and the row kernels: which C++ type a kernel takes for a tensor's elements.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_ELEMENT_TYPE_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_ELEMENT_TYPE_H_

#include <ATen/ATen.h>

#include "trainer/autograd/aten_only.h"
#include "trainer/autograd/bfloat16.h"

namespace breakeven {

// The kernels of this folder compute float32 and bfloat16 on CPUs; everything else goes by aten_paths.h.
inline bool HasFusedKernel(const at::Tensor& tensor) {
  return tensor.is_cpu() && !AtenOnly::on() &&
         (tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16);
}

// body(T{}) with T = float or BFloat16, the tensor's element type as the kernels know it.
template <typename Body>
void WithElementType(at::ScalarType type, const Body& body) {
  if (type == at::kBFloat16) {
    body(BFloat16{});
  } else {
    body(float{});
  }
}

// What sums of elements of this type are kept in, and gradients of weights: float32 for bfloat16, else the
// type itself.
inline at::ScalarType SumTypeOf(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kBFloat16 ? at::kFloat : tensor.scalar_type();
}

// The tensor must have the type T; undefined gives nullptr.
template <typename T>
const T* ConstData(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<const T*>(tensor.const_data_ptr()) : nullptr;
}
template <typename T>
T* MutableData(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<T*>(tensor.mutable_data_ptr()) : nullptr;
}

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_ELEMENT_TYPE_H_
