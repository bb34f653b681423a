// Pure. Sixteen floats at a time, for the row kernels of this folder. Included by their .cpp files
// only.
//
// Written in GCC's vector extensions, so one source serves SSE2, AVX2 and AVX-512: BE_VECTORISED
// compiles a function for each and picks at load time. Sums run in sixteen lanes whatever the
// machine, and nothing is contracted to an FMA unless a file is compiled to allow it, so results
// are equal bit for bit on all of them.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_VECTOR_MATH_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_VECTOR_MATH_H_

#include <cstdint>
#include <limits>

#include "comm/base/vectorised.h"
#include "trainer/autograd/bfloat16.h"

#pragma GCC diagnostic ignored \
    "-Wpsabi"  // every function below is inlined: no vector crosses a call

namespace breakeven::vector_math {

inline constexpr int64_t kLanes = 16;
typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));
// The same anywhere in memory. Loads through these and not through memcpy: GCC 12 keeps an array of
// vectors in registers only then.
typedef float FloatsInMemory __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t IntsInMemory __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t HalvesInMemory __attribute__((vector_size(32), aligned(2), may_alias));

// A form that GCC 12 makes one broadcast of: of Floats{v, v, …} it makes four stores.
BE_INLINE Floats Splat(float value) {
  const Floats first{value};
  return __builtin_shufflevector(first, first, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}

// The same bits: a cast between vectors of one size converts nothing.
BE_INLINE Floats AsFloats(const Ints& bits) { return (Floats)bits; }
BE_INLINE Ints AsInts(const Floats& value) { return (Ints)value; }

BE_INLINE Floats LoadWhole(const float* from) {
  return *reinterpret_cast<const FloatsInMemory*>(from);
}
BE_INLINE Floats LoadWhole(const BFloat16* from) {
  const Halves halves = *reinterpret_cast<const HalvesInMemory*>(from);
  return AsFloats(__builtin_convertvector(halves, Ints) << 16);
}

BE_INLINE void StoreWhole(float* to, const Floats& value) {
  *reinterpret_cast<FloatsInMemory*>(to) = value;
}
// The upper halves of these bits are the values rounded to bfloat16, to nearest even; NaN becomes a quiet
// one.
BE_INLINE Ints RoundedToUpperHalves(const Floats& value) {
  const Ints bits = AsInts(value);
  const Ints rounded = bits + 0x7fff + ((bits >> 16) & 1);
  return value != value ? bits | 0x400000 : rounded;
}
BE_INLINE void StoreWhole(BFloat16* to, const Floats& value) {
  const Ints halves = (RoundedToUpperHalves(value) >> 16) & 0xffff;
  *reinterpret_cast<HalvesInMemory*>(to) = __builtin_convertvector(halves, Halves);
}
// Words of two bfloat16, `low` at the lower address.
BE_INLINE void StorePairs(uint32_t* to, const Floats& low, const Floats& high) {
  const Ints words =
      ((RoundedToUpperHalves(low) >> 16) & 0xffff) | (RoundedToUpperHalves(high) & ~0xffff);
  *reinterpret_cast<IntsInMemory*>(to) = words;
}

// `count` may be below kLanes at the end of a row: the other lanes read as `filler` and are not
// stored.
template <typename T>
BE_INLINE Floats Load(const T* from, int64_t count, float filler = 0.0f) {
  if (__builtin_expect(count >= kLanes, 1)) return LoadWhole(from);
  T lanes[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = from[i];
  Floats result = LoadWhole(lanes);
  for (int64_t i = count; i < kLanes; ++i) result[i] = filler;
  return result;
}

template <typename T>
BE_INLINE void Store(T* to, const Floats& value, int64_t count) {
  if (__builtin_expect(count >= kLanes, 1)) return StoreWhole(to, value);
  T lanes[kLanes];
  StoreWhole(lanes, value);
  for (int64_t i = 0; i < count; ++i) to[i] = lanes[i];
}

BE_INLINE Floats Max(const Floats& a, const Floats& b) { return a > b ? a : b; }

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
  const Floats scale = AsFloats((AsInts(shifted) - 0x4B400000 + 127) << 23);
  return x != x ? x : p * scale;
}

}  // namespace breakeven::vector_math

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_VECTOR_MATH_H_
