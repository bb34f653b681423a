// Pure.
#include "comm/reduce.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

#include "comm/base/error.h"

namespace breakeven {
namespace {

// Accumulators of one block stay in the first-level cache while all inputs pass by.
constexpr int64_t kBlock = 2048;

struct BFloat16 {
  uint16_t bits;
};

float Load(BFloat16 value) { return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16); }
void Store(float value, BFloat16* out) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (value != value) {
    out->bits = static_cast<uint16_t>((bits >> 16) | 0x40);  // a quiet NaN stays one
    return;
  }
  const uint32_t to_even = 0x7fff + ((bits >> 16) & 1);
  out->bits = static_cast<uint16_t>((bits + to_even) >> 16);
}
template <typename T>
T Load(T value) {
  return value;
}
template <typename T>
void Store(T value, T* out) {
  *out = value;
}

template <ReduceOp op, typename T>
T Combine(T a, T b) {
  if constexpr (op == ReduceOp::kSum) {
    if constexpr (std::is_integral_v<T>) {
      using U = std::make_unsigned_t<T>;
      return static_cast<T>(static_cast<U>(static_cast<U>(a) + static_cast<U>(b)));
    } else {
      return a + b;
    }
  } else {
    // A NaN on either side fails the comparison and is kept: `b != b` picks it up on the right, the
    // rest on the left.
    const bool take_b = op == ReduceOp::kMax ? b > a : b < a;
    return take_b || b != b ? b : a;
  }
}

template <ReduceOp op, typename T>
void Reduce(std::span<const void* const> inputs, void* out_bytes, int64_t count) {
  using Accumulator = decltype(Load(T{}));
  Accumulator accumulators[kBlock];
  T* out = static_cast<T*>(out_bytes);
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t size = std::min(kBlock, count - begin);
    const T* first = static_cast<const T*>(inputs[0]) + begin;
    for (int64_t i = 0; i < size; ++i) accumulators[i] = Load(first[i]);
    for (size_t r = 1; r < inputs.size(); ++r) {
      const T* input = static_cast<const T*>(inputs[r]) + begin;
      for (int64_t i = 0; i < size; ++i) {
        accumulators[i] = Combine<op, Accumulator>(accumulators[i], Load(input[i]));
      }
    }
    for (int64_t i = 0; i < size; ++i) Store(accumulators[i], out + begin + i);
  }
}

template <typename T>
void ReduceAs(ReduceOp op, std::span<const void* const> inputs, void* out, int64_t count) {
  switch (op) {
    case ReduceOp::kSum:
      return Reduce<ReduceOp::kSum, T>(inputs, out, count);
    case ReduceOp::kMax:
      return Reduce<ReduceOp::kMax, T>(inputs, out, count);
    case ReduceOp::kMin:
      return Reduce<ReduceOp::kMin, T>(inputs, out, count);
  }
}

}  // namespace

void ReduceInOrder(DType dtype, ReduceOp op, std::span<const void* const> inputs, void* out,
                   int64_t count) {
  BE_CHECK(!inputs.empty(), "a reduction of nothing");
  switch (dtype) {
    case DType::kFloat32:
      return ReduceAs<float>(op, inputs, out, count);
    case DType::kBFloat16:
      return ReduceAs<BFloat16>(op, inputs, out, count);
    case DType::kFloat64:
      return ReduceAs<double>(op, inputs, out, count);
    case DType::kInt32:
      return ReduceAs<int32_t>(op, inputs, out, count);
    case DType::kInt64:
      return ReduceAs<int64_t>(op, inputs, out, count);
    case DType::kUInt8:
      return ReduceAs<uint8_t>(op, inputs, out, count);
  }
}

}  // namespace breakeven
