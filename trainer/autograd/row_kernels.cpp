// Pure.
#include "trainer/autograd/row_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "trainer/autograd/vector_math.h"

namespace breakeven {
namespace {

using vector_math::Exp;
using vector_math::Floats;
using vector_math::HorizontalMax;
using vector_math::HorizontalSum;
using vector_math::kLanes;
using vector_math::Load;
using vector_math::Splat;
using vector_math::Store;

BE_INLINE Floats Sigmoid(const Floats& x) { return 1.0f / (1.0f + Exp(-x)); }

template <typename T>
BE_INLINE void SwiGlu(const T* gate_up, T* out, int64_t width, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const T* gates = gate_up + row * 2 * width;
    const T* ups = gates + width;
    T* to = out + row * width;
    for (int64_t i = 0; i < width; i += kLanes) {
      const int64_t count = width - i;
      const Floats gate = Load(gates + i, count);
      Store(to + i, gate * Sigmoid(gate) * Load(ups + i, count), count);
    }
  }
}

template <typename T>
BE_INLINE void SwiGluGradient(const T* gate_up, const T* grad_out, T* grad_gate_up, int64_t width,
                              int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const T* gates = gate_up + row * 2 * width;
    const T* ups = gates + width;
    const T* grad = grad_out + row * width;
    T* grad_gates = grad_gate_up + row * 2 * width;
    T* grad_ups = grad_gates + width;
    for (int64_t i = 0; i < width; i += kLanes) {
      const int64_t count = width - i;
      const Floats gate = Load(gates + i, count);
      const Floats up = Load(ups + i, count);
      const Floats g = Load(grad + i, count);
      const Floats sigmoid = Sigmoid(gate);
      Store(grad_gates + i, g * up * sigmoid * (1.0f + gate * (1.0f - sigmoid)), count);
      Store(grad_ups + i, g * gate * sigmoid, count);
    }
  }
}

template <typename T>
BE_INLINE RowSoftmax Softmax(const T* logits, int64_t vocabulary) {
  const float first = Load(logits, 1)[0];
  Floats lanes = Splat(-std::numeric_limits<float>::infinity());
  Floats check =
      {};  // x - x: zero, or NaN for NaN and infinities, which the maximum alone would hide
  for (int64_t i = 0; i < vocabulary; i += kLanes) {
    const Floats x = Load(logits + i, vocabulary - i, first);
    lanes = x > lanes ? x : lanes;
    check += x - x;
  }
  const float max = HorizontalMax(lanes);
  // Lanes of floats for a short stretch, then doubles: the sum over 50,000 columns keeps float
  // accuracy.
  constexpr int64_t kStretch = 64 * kLanes;
  double sum = 0;
  for (int64_t start = 0; start < vocabulary; start += kStretch) {
    const int64_t end = std::min(vocabulary, start + kStretch);
    Floats part = {};
    int64_t i = start;
    for (; i + kLanes <= end; i += kLanes) part += Exp(Load(logits + i, kLanes) - max);
    if (i < end) {
      const Floats last = Exp(Load(logits + i, end - i, max) - max);
      for (int64_t lane = 0; lane < end - i; ++lane) part[lane] += last[lane];
    }
    sum += static_cast<double>(HorizontalSum(part));
  }
  const double not_finite = static_cast<double>(HorizontalSum(check));
  return {max, static_cast<double>(max) + std::log(sum) + not_finite};
}

template <typename T>
BE_INLINE void SoftmaxMinusTarget(T* logits, int64_t vocabulary, const RowSoftmax& softmax,
                                  int64_t target, float scale) {
  // exp(x - max) · (scale / Σ) rather than exp(x - lse): the maximum is exact in float, the sum's
  // logarithm is not.
  const float factor =
      static_cast<float>(static_cast<double>(scale) *
                         std::exp(static_cast<double>(softmax.max) - softmax.log_sum_exp));
  const float of_target = Exp(Splat(Load(logits + target, 1)[0] - softmax.max))[0] * factor - scale;
  for (int64_t i = 0; i < vocabulary; i += kLanes) {
    const int64_t count = vocabulary - i;
    Store(logits + i, Exp(Load(logits + i, count) - softmax.max) * factor, count);
  }
  Store(logits + target, Splat(of_target), 1);
}

template <typename T>
BE_INLINE void Rotate(T* heads, int64_t num_heads, int64_t head_dim, const float* cos,
                      const float* sin) {
  const int64_t half = head_dim / 2;
  for (int64_t head = 0; head < num_heads; ++head) {
    T* const row = heads + head * head_dim;
    for (int64_t i = 0; i < half; i += kLanes) {
      const int64_t count = half - i;
      const Floats c = Load(cos + i, count);
      const Floats s = Load(sin + i, count);
      const Floats low = Load(row + i, count);
      const Floats high = Load(row + half + i, count);
      Store(row + i, low * c - high * s, count);
      Store(row + half + i, high * c + low * s, count);
    }
  }
}

template <typename T>
BE_INLINE void Convert(const float* from, T* to, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes) Store(to + i, Load(from + i, count - i), count - i);
}

}  // namespace

BE_VECTORISED void RotateHeads(float* heads, int64_t num_heads, int64_t head_dim, const float* cos,
                               const float* sin) {
  Rotate(heads, num_heads, head_dim, cos, sin);
}
BE_VECTORISED void RotateHeads(BFloat16* heads, int64_t num_heads, int64_t head_dim,
                               const float* cos, const float* sin) {
  Rotate(heads, num_heads, head_dim, cos, sin);
}

BE_VECTORISED void SwiGluForward(const float* gate_up, float* out, int64_t width, int64_t begin,
                                 int64_t end) {
  SwiGlu(gate_up, out, width, begin, end);
}
BE_VECTORISED void SwiGluForward(const BFloat16* gate_up, BFloat16* out, int64_t width,
                                 int64_t begin, int64_t end) {
  SwiGlu(gate_up, out, width, begin, end);
}

BE_VECTORISED void SwiGluBackward(const float* gate_up, const float* grad_out, float* grad_gate_up,
                                  int64_t width, int64_t begin, int64_t end) {
  SwiGluGradient(gate_up, grad_out, grad_gate_up, width, begin, end);
}
BE_VECTORISED void SwiGluBackward(const BFloat16* gate_up, const BFloat16* grad_out,
                                  BFloat16* grad_gate_up, int64_t width, int64_t begin,
                                  int64_t end) {
  SwiGluGradient(gate_up, grad_out, grad_gate_up, width, begin, end);
}

BE_VECTORISED RowSoftmax SoftmaxOfRow(const float* logits, int64_t vocabulary) {
  return Softmax(logits, vocabulary);
}
BE_VECTORISED RowSoftmax SoftmaxOfRow(const BFloat16* logits, int64_t vocabulary) {
  return Softmax(logits, vocabulary);
}

BE_VECTORISED void CrossEntropyGradient(float* logits, int64_t vocabulary,
                                        const RowSoftmax& softmax, int64_t target, float scale) {
  SoftmaxMinusTarget(logits, vocabulary, softmax, target, scale);
}
BE_VECTORISED void CrossEntropyGradient(BFloat16* logits, int64_t vocabulary,
                                        const RowSoftmax& softmax, int64_t target, float scale) {
  SoftmaxMinusTarget(logits, vocabulary, softmax, target, scale);
}

int64_t ArgMaxOfRow(const float* logits, int64_t vocabulary, float max) {
  return std::find(logits, logits + vocabulary, max) - logits;
}

BE_VECTORISED void AddTo(float* to, const float* from, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes) {
    Store(to + i, Load(to + i, count - i) + Load(from + i, count - i), count - i);
  }
}

float ToFloat(BFloat16 value) { return Load(&value, 1)[0]; }

BE_VECTORISED void ConvertToBFloat16(const float* from, BFloat16* to, int64_t count) {
  Convert(from, to, count);
}

}  // namespace breakeven
