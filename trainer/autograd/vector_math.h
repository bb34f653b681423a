// Pure. Sixteen floats at a time, for the row kernels of this folder. Included by their .cpp files
// only.
//
// Written in GCC's vector extensions, so one source serves SSE2, AVX2 and AVX-512: BE_VECTORISED
// compiles a function for each and picks at load time. Sums run in sixteen lanes whatever the
// machine, and nothing is contracted to an FMA, so results are equal bit for bit on all of them.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_VECTOR_MATH_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_VECTOR_MATH_H_

#include <cstdint>
#include <limits>

#pragma GCC diagnostic ignored \
    "-Wpsabi"  // every function below is inlined: no vector crosses a call

// Sanitizers' run-time is not up when the loader resolves the clones.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define BE_VECTORISED \
  __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define BE_VECTORISED
#endif
#define BE_INLINE inline __attribute__((always_inline))

namespace breakeven::vector_math {

inline constexpr int64_t kLanes = 16;
typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));

BE_INLINE Floats Splat(float value) { return Floats{} + value; }

// `count` may be below kLanes at the end of a row: the other lanes read as `filler` and are not
// stored.
BE_INLINE Floats Load(const float* from, int64_t count, float filler = 0.0f) {
  Floats result;
  if (count >= kLanes) {
    __builtin_memcpy(&result, from, sizeof(result));
  } else {
    result = Splat(filler);
    for (int64_t i = 0; i < count; ++i) result[i] = from[i];
  }
  return result;
}

BE_INLINE void Store(float* to, const Floats& value, int64_t count) {
  if (count >= kLanes) {
    __builtin_memcpy(to, &value, sizeof(value));
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = value[i];
  }
}

// Lanes are added as a tree.
BE_INLINE float HorizontalSum(const Floats& value) {
  float lanes[kLanes];
  __builtin_memcpy(lanes, &value, sizeof(lanes));
  for (int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (int64_t i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

BE_INLINE float HorizontalMax(const Floats& value) {
  float result = value[0];
  for (int64_t i = 1; i < kLanes; ++i) result = value[i] > result ? value[i] : result;
  return result;
}

// e^x to 2 units in the last place. x below -87.3 gives about 1.2e-38, x above 88.3 about 2.4e38:
// finite for finite x. Cody-Waite reduction by ln 2 in two parts, then the Taylor series to x^7 on
// [-0.35, 0.35]. NaN stays NaN.
BE_INLINE Floats Exp(const Floats& x) {
  const Floats low = Splat(-87.3f);
  const Floats high = Splat(88.3f);
  Floats clamped = x < low ? low : x;
  clamped = clamped > high ? high : clamped;
  const Floats rounder =
      Splat(12582912.0f);  // 1.5 · 2^23: adding it rounds to an integer in the low bits
  const Floats shifted = clamped * 1.44269504088896341f + rounder;
  const Floats n = shifted - rounder;
  const Floats r = (clamped - n * 0.693359375f) - n * -2.12194440e-4f;
  Floats p = Splat(1.0f / 5040.0f);
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  Ints exponent;
  __builtin_memcpy(&exponent, &shifted, sizeof(exponent));
  exponent = (exponent - 0x4B400000 + 127) << 23;
  Floats scale;
  __builtin_memcpy(&scale, &exponent, sizeof(scale));
  return x != x ? x : p * scale;
}

}  // namespace breakeven::vector_math

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_VECTOR_MATH_H_
