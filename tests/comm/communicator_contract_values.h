// Values for the contract's checks: a function of (rank, index) alone, so every rank can compute
// what all ranks bring and fold it in order of rank by itself.
#ifndef BREAKEVEN_TESTS_COMM_COMMUNICATOR_CONTRACT_VALUES_H_
#define BREAKEVEN_TESTS_COMM_COMMUNICATOR_CONTRACT_VALUES_H_

#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "comm/device.h"

namespace breakeven::contract {

// In loops over elements, build the message only where it is needed.
inline void Expect(bool condition, const std::string& message) {
  if (!condition) throw std::runtime_error(message);
}

inline constexpr DType kDTypes[] = {DType::kFloat32, DType::kBFloat16, DType::kFloat64,
                                    DType::kInt32,   DType::kInt64,    DType::kUInt8};
// ThreadSanitizer makes every access some 10 times as dear, and no size shows it more races.
#ifdef __SANITIZE_THREAD__
inline constexpr int kShorter = 16;
#else
inline constexpr int kShorter = 1;
#endif

// For the arithmetic of the checks themselves: under clang's address sanitizer it would be most of their time.
#ifdef __clang__
#define BE_UNCHECKED __attribute__((no_sanitize("address", "undefined", "coverage")))
#else
#define BE_UNCHECKED
#endif

inline constexpr ReduceOp kOps[] = {ReduceOp::kSum, ReduceOp::kMax, ReduceOp::kMin};

BE_UNCHECKED inline float FromBFloat16(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

// To nearest, ties to even, by searching instead of by the back ends' bit trick. Finite values
// only.
BE_UNCHECKED inline uint16_t ToBFloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  const uint16_t down = static_cast<uint16_t>(bits >> 16);
  const uint16_t up = static_cast<uint16_t>(down + 1);
  const double below = std::abs(static_cast<double>(value) - FromBFloat16(down));
  const double above = std::abs(static_cast<double>(value) - FromBFloat16(up));
  if (below != above) return below < above ? down : up;
  return down % 2 == 0 ? down : up;
}

// Cheap, because every rank computes those of all ranks: the finalizer of a multiplicative hash.
BE_UNCHECKED inline uint64_t Bits(int rank, int64_t i) {
  uint64_t x = (static_cast<uint64_t>(rank) << 40) + static_cast<uint64_t>(i) + 1;
  x *= 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  return x ^ (x >> 29);
}

// Of nine orders of magnitude and both signs, so that the order of a sum shows in its last bits.
BE_UNCHECKED inline double RealValue(int rank, int64_t i) {
  static constexpr double scales[] = {1e-4, 1e-3, 1e-2, 1e-1, 1, 1e1, 1e2, 1e3, 1e4};
  return (static_cast<double>(Bits(rank, i) >> 11) * 0x1p-53 - 0.5) * scales[Bits(rank, i) % 9];
}

BE_UNCHECKED inline int64_t WholeValue(int rank, int64_t i) {
  return static_cast<int64_t>(Bits(rank, i));
}

BE_UNCHECKED inline void StoreValue(DType dtype, void* data, int64_t at, int rank, int64_t i) {
  switch (dtype) {
    case DType::kFloat32:
      static_cast<float*>(data)[at] = static_cast<float>(RealValue(rank, i));
      break;
    case DType::kBFloat16:
      static_cast<uint16_t*>(data)[at] = ToBFloat16(static_cast<float>(RealValue(rank, i)));
      break;
    case DType::kFloat64:
      static_cast<double*>(data)[at] = RealValue(rank, i);
      break;
    case DType::kInt32:
      static_cast<int32_t*>(data)[at] = static_cast<int32_t>(WholeValue(rank, i) % 100000);
      break;
    case DType::kInt64:
      static_cast<int64_t*>(data)[at] = WholeValue(rank, i) >> 8;
      break;
    case DType::kUInt8:
      static_cast<uint8_t*>(data)[at] = static_cast<uint8_t>(WholeValue(rank, i));
      break;
  }
}

BE_UNCHECKED inline std::vector<char> Values(DType dtype, int64_t count, int rank,
                                             int64_t first = 0) {
  std::vector<char> bytes(static_cast<size_t>(count * SizeOf(dtype)));
  for (int64_t i = 0; i < count; ++i) StoreValue(dtype, bytes.data(), i, rank, first + i);
  return bytes;
}

template <typename T>
BE_UNCHECKED T Fold(ReduceOp op, T a, T b) {
  if (op == ReduceOp::kSum) return static_cast<T>(a + b);
  return (op == ReduceOp::kMax) == (a < b) ? b : a;
}

// Which ranks are folded first, by node, before the nodes' results are: set where a back end says that it does so. Empty:
// all ranks are of one node.
inline std::vector<std::vector<int>>& NodesInOrder() {
  static std::vector<std::vector<int>> nodes;
  return nodes;
}

// value(rank) folded in order of rank within a node, then in order of node.
template <typename T>
BE_UNCHECKED T FoldByNode(ReduceOp op, int world_size, bool by_node, const auto& value) {
  static const std::vector<std::vector<int>> none;
  const std::vector<std::vector<int>>& nodes = by_node ? NodesInOrder() : none;
  if (nodes.empty()) {
    T sum = value(0);
    for (int r = 1; r < world_size; ++r) sum = Fold(op, sum, value(r));
    return sum;
  }
  T sum{};
  for (size_t n = 0; n < nodes.size(); ++n) {
    T of_node = value(nodes[n][0]);
    for (size_t k = 1; k < nodes[n].size(); ++k) of_node = Fold(op, of_node, value(nodes[n][k]));
    sum = n == 0 ? of_node : Fold(op, sum, of_node);
  }
  return sum;
}

template <typename T>
BE_UNCHECKED void FoldAll(ReduceOp op, DType dtype, int64_t count, int world_size, int64_t first,
                          bool by_node, T* out) {
  std::vector<std::vector<char>> all;
  std::vector<const T*> pointers;
  for (int r = 0; r < world_size; ++r) {
    all.push_back(Values(dtype, count, r, first));
    pointers.push_back(reinterpret_cast<const T*>(all.back().data()));
  }
  const T* const* const values = pointers.data();
  for (int64_t i = 0; i < count; ++i) {
    out[i] =
        FoldByNode<T>(op, world_size, by_node, [=](int r) BE_UNCHECKED { return values[r][i]; });
  }
}

BE_UNCHECKED inline void FoldBFloat16(ReduceOp op, int64_t count, int world_size, int64_t first,
                                      bool by_node, uint16_t* out) {
  for (int64_t i = 0; i < count; ++i) {
    out[i] = ToBFloat16(FoldByNode<float>(op, world_size, by_node, [&](int r) BE_UNCHECKED {
      uint16_t bits;
      StoreValue(DType::kBFloat16, &bits, 0, r, first + i);
      return FromBFloat16(bits);
    }));
  }
}

// What a reduction over `world_size` ranks must give, to the bit. The control plane knows no nodes.
inline std::vector<char> Reduced(DType dtype, ReduceOp op, int64_t count, int world_size,
                                 int64_t first = 0, bool by_node = true) {
  std::vector<char> bytes(static_cast<size_t>(count * SizeOf(dtype)));
  void* out = bytes.data();
  switch (dtype) {
    case DType::kFloat32:
      FoldAll(op, dtype, count, world_size, first, by_node, static_cast<float*>(out));
      break;
    case DType::kBFloat16:
      FoldBFloat16(op, count, world_size, first, by_node, static_cast<uint16_t*>(out));
      break;
    case DType::kFloat64:
      FoldAll(op, dtype, count, world_size, first, by_node, static_cast<double*>(out));
      break;
    case DType::kInt32:
      FoldAll(op, dtype, count, world_size, first, by_node, static_cast<int32_t*>(out));
      break;
    case DType::kInt64:
      FoldAll(op, dtype, count, world_size, first, by_node, static_cast<int64_t*>(out));
      break;
    case DType::kUInt8:
      FoldAll(op, dtype, count, world_size, first, by_node, static_cast<uint8_t*>(out));
      break;
  }
  return bytes;
}

inline std::string Name(DType dtype, ReduceOp op, int64_t count) {
  static const char* dtypes[] = {"float32", "bfloat16", "float64", "int32", "int64", "uint8"};
  static const char* ops[] = {"sum", "max", "min"};
  return std::string(ops[static_cast<int>(op)]) + " of " + std::to_string(count) + " " +
         dtypes[static_cast<int>(dtype)];
}

inline void ExpectSameBytes(const void* seen, const std::vector<char>& expected, DType dtype,
                            const std::string& what) {
  const char* bytes = static_cast<const char*>(seen);
  if (expected.empty() || std::memcmp(bytes, expected.data(), expected.size()) == 0) return;
  size_t i = 0;
  while (bytes[i] == expected[i]) ++i;
  Expect(false, what + ": element " + std::to_string(static_cast<int64_t>(i) / SizeOf(dtype)) +
                    " differs from the fold in order of rank");
}

// The value of element `i` of `bytes`, of a floating-point type.
inline double RealAt(const std::vector<char>& bytes, DType dtype, int64_t i) {
  const char* at = bytes.data() + i * SizeOf(dtype);
  if (dtype == DType::kFloat64) return *reinterpret_cast<const double*>(at);
  if (dtype == DType::kFloat32) return *reinterpret_cast<const float*>(at);
  return FromBFloat16(*reinterpret_cast<const uint16_t*>(at));
}

// For back ends that sum floats in an order of their own. Two orders differ by at most the roundings of both: n - 1 of each, of
// at most the sum of magnitudes; where bfloat16 is rounded at every addition, as many of its own.
inline void ExpectSumToRounding(const std::vector<char>& seen, DType dtype, int64_t count,
                                int world_size, int64_t first, const std::string& what) {
  const std::vector<char> expected = Reduced(dtype, ReduceOp::kSum, count, world_size, first);
  const double epsilon = dtype == DType::kFloat64   ? 0x1p-52
                         : dtype == DType::kFloat32 ? 0x1p-23
                                                    : 0x1p-8;
  for (int64_t i = 0; i < count; ++i) {
    double magnitude = 0;
    for (int r = 0; r < world_size; ++r) magnitude += std::abs(RealValue(r, first + i));
    const double a = RealAt(seen, dtype, i);
    const double b = RealAt(expected, dtype, i);
    if (std::abs(a - b) <= epsilon * (world_size - 1) * magnitude * 1.01) continue;
    Expect(false, what + ": element " + std::to_string(i) + " is " + std::to_string(a) + ", not " +
                      std::to_string(b) + " to rounding");
  }
}

}  // namespace breakeven::contract

#endif  // BREAKEVEN_TESTS_COMM_COMMUNICATOR_CONTRACT_VALUES_H_
