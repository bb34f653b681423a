// Gradients in float32 beside those of plain ATen operations in float64.
#ifndef BREAKEVEN_TESTS_TRAINER_AUTOGRAD_GRADIENT_CHECK_H_
#define BREAKEVEN_TESTS_TRAINER_AUTOGRAD_GRADIENT_CHECK_H_

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace breakeven {

inline at::Tensor DoubleLeaf(const at::Tensor& tensor) {
  return tensor.detach().to(at::kDouble).clone().set_requires_grad(true);
}

// float32, normal(center, scale), requires grad.
inline at::Tensor RandomLeaf(at::IntArrayRef sizes, double scale = 1, double center = 0) {
  return (at::randn(sizes) * scale + center).set_requires_grad(true);
}

// ‖found - expected‖ / ‖expected‖ in float64.
inline double RelativeError(const at::Tensor& found, const at::Tensor& expected) {
  const at::Tensor difference = found.detach().to(at::kDouble) - expected.detach().to(at::kDouble);
  const double norm = expected.detach().to(at::kDouble).norm().item<double>();
  return difference.norm().item<double>() / std::max(norm, 1e-30);
}

}  // namespace breakeven

#endif  // BREAKEVEN_TESTS_TRAINER_AUTOGRAD_GRADIENT_CHECK_H_
