// Pure.
#include "trainer/autograd/norm_kernels.h"

#include <cmath>

#include "trainer/autograd/vector_math.h"

namespace breakeven {
namespace {

using vector_math::Floats;
using vector_math::HorizontalSum;
using vector_math::kLanes;
using vector_math::Load;
using vector_math::Splat;
using vector_math::Store;

// Σ (x - shift)² over a row. Lanes beyond the row's end hold `shift`, so they add nothing.
BE_INLINE float SumOfSquares(const float* row, int64_t length, float shift) {
  Floats sum = {};
  for (int64_t i = 0; i < length; i += kLanes) {
    const Floats x = Load(row + i, length - i, shift) - shift;
    sum += x * x;
  }
  return HorizontalSum(sum);
}

BE_INLINE float Sum(const float* row, int64_t length) {
  Floats sum = {};
  for (int64_t i = 0; i < length; i += kLanes) sum += Load(row + i, length - i);
  return HorizontalSum(sum);
}

template <typename T>
BE_INLINE void ForwardRow(const NormForwardRows<T>& rows, int64_t row) {
  const int64_t length = rows.row_length;
  const float* x = rows.residual + row * length;
  if (rows.update != nullptr) {
    const T* update = rows.update + row * length;
    float* sum = rows.sum + row * length;
    for (int64_t i = 0; i < length; i += kLanes) {
      Store(sum + i, Load(x + i, length - i) + Load(update + i, length - i), length - i);
    }
    x = sum;
  }
  const float count = static_cast<float>(length);
  const float mean = rows.kind == NormKind::kLayer ? Sum(x, length) / count : 0.0f;
  const float variance = SumOfSquares(x, length, mean) / count;
  const float inverse = 1.0f / std::sqrt(variance + rows.epsilon);
  T* normed = rows.normed + row * length;
  for (int64_t i = 0; i < length; i += kLanes) {
    Floats y = (Load(x + i, length - i) - mean) * inverse * Load(rows.weight + i, length - i);
    if (rows.bias != nullptr) y += Load(rows.bias + i, length - i);
    Store(normed + i, y, length - i);
  }
  rows.inverse_deviation[row] = inverse;
  if (rows.kind == NormKind::kLayer) rows.mean[row] = mean;
}

// With g = grad_normed · weight and x̂ the normalised row:
//   grad_input = inverse · (g - mean(g) [layer norm only] - x̂ · mean(g · x̂)) + grad_sum.
template <typename T>
BE_INLINE void BackwardRow(const NormBackwardRows<T>& rows, int64_t row, float* grad_weight,
                           float* grad_bias) {
  const int64_t length = rows.row_length;
  const float* x = rows.sum + row * length;
  const T* grad = rows.grad_normed + row * length;
  const float inverse = rows.inverse_deviation[row];
  const float mean = rows.kind == NormKind::kLayer ? rows.mean[row] : 0.0f;
  Floats dot = {};
  Floats total = {};
  for (int64_t i = 0; i < length; i += kLanes) {
    const int64_t count = length - i;
    const Floats normalised = (Load(x + i, count, mean) - mean) * inverse;
    const Floats dy = Load(grad + i, count);
    const Floats g = dy * Load(rows.weight + i, count);
    dot += g * normalised;
    total += g;
    Store(grad_weight + i, Load(grad_weight + i, count) + dy * normalised, count);
    if (grad_bias != nullptr) Store(grad_bias + i, Load(grad_bias + i, count) + dy, count);
  }
  const float row_length = static_cast<float>(length);
  const float dot_mean = HorizontalSum(dot) / row_length;
  const float grad_mean = rows.kind == NormKind::kLayer ? HorizontalSum(total) / row_length : 0.0f;
  const float* grad_sum = rows.grad_sum == nullptr ? nullptr : rows.grad_sum + row * length;
  float* grad_input = rows.grad_input + row * length;
  T* grad_update = rows.grad_update == nullptr ? nullptr : rows.grad_update + row * length;
  for (int64_t i = 0; i < length; i += kLanes) {
    const int64_t count = length - i;
    const Floats normalised = (Load(x + i, count, mean) - mean) * inverse;
    const Floats g = Load(grad + i, count) * Load(rows.weight + i, count);
    Floats result = (g - grad_mean - normalised * dot_mean) * inverse;
    if (grad_sum != nullptr) result += Load(grad_sum + i, count);
    Store(grad_input + i, result, count);
    if (grad_update != nullptr) Store(grad_update + i, result, count);
  }
}

template <typename T>
BE_INLINE void Forward(const NormForwardRows<T>& rows, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) ForwardRow(rows, row);
}

template <typename T>
BE_INLINE void Backward(const NormBackwardRows<T>& rows, int64_t begin, int64_t end,
                        float* grad_weight, float* grad_bias) {
  for (int64_t row = begin; row < end; ++row) BackwardRow(rows, row, grad_weight, grad_bias);
}

}  // namespace

// Functions of their own: templates cannot be compiled for several instruction sets.
BE_VECTORISED void NormForward(const NormForwardRows<float>& rows, int64_t begin, int64_t end) {
  Forward(rows, begin, end);
}
BE_VECTORISED void NormForward(const NormForwardRows<BFloat16>& rows, int64_t begin, int64_t end) {
  Forward(rows, begin, end);
}
BE_VECTORISED void NormBackward(const NormBackwardRows<float>& rows, int64_t begin, int64_t end,
                                float* grad_weight, float* grad_bias) {
  Backward(rows, begin, end, grad_weight, grad_bias);
}
BE_VECTORISED void NormBackward(const NormBackwardRows<BFloat16>& rows, int64_t begin, int64_t end,
                                float* grad_weight, float* grad_bias) {
  Backward(rows, begin, end, grad_weight, grad_bias);
}

}  // namespace breakeven
