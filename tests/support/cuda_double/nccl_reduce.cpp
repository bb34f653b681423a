#include "tests/support/cuda_double/nccl_reduce.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace cuda_double {
namespace {

// Storage and arithmetic of bfloat16.
struct BFloat16 {
  uint16_t bits;
};

float Widen(BFloat16 value) {
  const uint32_t wide = static_cast<uint32_t>(value.bits) << 16;
  float result;
  std::memcpy(&result, &wide, sizeof(result));
  return result;
}

BFloat16 Narrow(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if (std::isnan(value)) return {static_cast<uint16_t>((bits >> 16) | 0x40)};
  bits += 0x7fff + ((bits >> 16) & 1);
  return {static_cast<uint16_t>(bits >> 16)};
}

template <typename T>
T Combine(ncclRedOp_t op, T a, T b) {
  if constexpr (std::is_same_v<T, BFloat16>) {
    return Narrow(Combine<float>(op, Widen(a), Widen(b)));
  } else if constexpr (std::is_floating_point_v<T>) {
    if (op == ncclSum) return a + b;
    return op == ncclMax ? std::fmax(a, b) : std::fmin(a, b);
  } else {
    using Unsigned = std::make_unsigned_t<T>;
    if (op == ncclSum) return static_cast<T>(static_cast<Unsigned>(a) + static_cast<Unsigned>(b));
    return op == ncclMax ? std::max(a, b) : std::min(a, b);
  }
}

template <typename T>
void Reduce(ncclRedOp_t op, const std::vector<const void*>& inputs, void* out, size_t count) {
  const size_t n = inputs.size();
  for (size_t i = 0; i < count; ++i) {
    const size_t slice = i * n / count;
    T value = static_cast<const T*>(inputs[(slice + 1) % n])[i];
    for (size_t step = 2; step <= n; ++step) {
      value = Combine<T>(op, value, static_cast<const T*>(inputs[(slice + step) % n])[i]);
    }
    static_cast<T*>(out)[i] = value;
  }
}

}  // namespace

size_t SizeOf(ncclDataType_t type) {
  switch (type) {
    case ncclUint8:
      return 1;
    case ncclBfloat16:
      return 2;
    case ncclInt32:
    case ncclFloat32:
      return 4;
    default:
      return 8;
  }
}

void RingReduce(ncclDataType_t type, ncclRedOp_t op, const std::vector<const void*>& inputs,
                void* out, size_t count) {
  switch (type) {
    case ncclUint8:
      return Reduce<uint8_t>(op, inputs, out, count);
    case ncclBfloat16:
      return Reduce<BFloat16>(op, inputs, out, count);
    case ncclInt32:
      return Reduce<int32_t>(op, inputs, out, count);
    case ncclInt64:
      return Reduce<int64_t>(op, inputs, out, count);
    case ncclFloat32:
      return Reduce<float>(op, inputs, out, count);
    default:
      return Reduce<double>(op, inputs, out, count);
  }
}

}  // namespace cuda_double
