// Pure.
#include "comm/shared_memory_fold.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "comm/base/error.h"
#include "comm/base/vectorised.h"
#include "comm/reduce.h"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#pragma GCC diagnostic ignored "-Wpsabi"  // all is inlined: no vector crosses a call

namespace breakeven {
namespace {

constexpr int64_t kLanes = 16;
typedef float Floats __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef int32_t Mask __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));

// A range is walked in several places at once, this many bytes apart: prefetchers follow a stream to the
// end of a 4 KiB page, and more pages in flight hide the memory's latency. Measured on 2 × 64 MiB: 2.6 ms
// with four places, 8 ms with one.
constexpr int64_t kStreamBytes = 16384;

BE_INLINE Floats Load(const float* from) {
  Floats value;
  __builtin_memcpy(&value, from, sizeof(value));
  return value;
}
BE_INLINE Floats Load(const uint16_t* from) {
  Halves halves;
  __builtin_memcpy(&halves, from, sizeof(halves));
  const Words words = __builtin_convertvector(halves, Words) << 16;
  Floats value;
  __builtin_memcpy(&value, &words, sizeof(value));
  return value;
}

template <Stores stores>
BE_INLINE void Store(const Floats& value, float* to) {
#if defined(__x86_64__)
  if constexpr (stores == Stores::kStreaming) {
    __m128 quarters[4];
    __builtin_memcpy(quarters, &value, sizeof(quarters));
    for (int k = 0; k < 4; ++k) _mm_stream_ps(to + 4 * k, quarters[k]);
    return;
  }
#endif
  __builtin_memcpy(to, &value, sizeof(value));
}
// To nearest, ties to even; a NaN becomes a quiet one.
template <Stores stores>
BE_INLINE void Store(const Floats& value, uint16_t* to) {
  Words bits;
  __builtin_memcpy(&bits, &value, sizeof(bits));
  const Words rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const Words quiet = (bits >> 16) | 0x40;
  const Mask is_nan = value != value;
  const Words words = is_nan ? quiet : rounded;
  const Halves halves = __builtin_convertvector(words, Halves);
#if defined(__x86_64__)
  if constexpr (stores == Stores::kStreaming) {
    __m128i parts[2];
    __builtin_memcpy(parts, &halves, sizeof(parts));
    for (int k = 0; k < 2; ++k) _mm_stream_si128(reinterpret_cast<__m128i*>(to) + k, parts[k]);
    return;
  }
#endif
  __builtin_memcpy(to, &halves, sizeof(halves));
}

template <ReduceOp op>
BE_INLINE Floats Combine(const Floats& a, const Floats& b) {
  if constexpr (op == ReduceOp::kSum) return a + b;
  const Mask better = op == ReduceOp::kMax ? b > a : b < a;
  const Mask take_b = better | (b != b);
  return take_b ? b : a;
}

template <typename T>
struct Streams {
  const T* const* inputs;
  size_t num_inputs;
  T* const* outputs;
  size_t num_outputs;
};

// `places` vectors, `stride` elements apart, of all inputs to all outputs.
template <ReduceOp op, Stores stores, int places, typename T>
BE_INLINE void FoldAt(const Streams<T>& streams, size_t num_inputs, int64_t at, int64_t stride) {
  Floats sums[places];
  for (int k = 0; k < places; ++k) sums[k] = Load(streams.inputs[0] + at + k * stride);
  for (size_t r = 1; r < num_inputs; ++r) {
    const T* input = streams.inputs[r] + at;
    for (int k = 0; k < places; ++k) sums[k] = Combine<op>(sums[k], Load(input + k * stride));
  }
  for (size_t r = 0; r < streams.num_outputs; ++r) {
    for (int k = 0; k < places; ++k) Store<stores>(sums[k], streams.outputs[r] + at + k * stride);
  }
}

// Returns how many elements are done: all whole vectors.
template <ReduceOp op, Stores stores, int places, typename T>
BE_INLINE int64_t FoldRange(const Streams<T>& streams, size_t num_inputs, int64_t count) {
  constexpr int64_t kStride = kStreamBytes / static_cast<int64_t>(sizeof(T));
  int64_t done = 0;
  for (; done + places * kStride <= count; done += places * kStride) {
    for (int64_t i = 0; i < kStride; i += kLanes) {
      FoldAt<op, stores, places>(streams, num_inputs, done + i, kStride);
    }
  }
  for (; done + 4 * kLanes <= count; done += 4 * kLanes) {
    FoldAt<op, stores, 4>(streams, num_inputs, done, kLanes);
  }
  for (; done + kLanes <= count; done += kLanes) {
    FoldAt<op, stores, 1>(streams, num_inputs, done, kLanes);
  }
  return done;
}

// Places × inputs stay below the ways of a first-level cache: all streams lie at the same offset of a page.
template <ReduceOp op, Stores stores, typename T>
BE_INLINE int64_t FoldVectors(const Streams<T>& streams, int64_t count) {
  if (streams.num_inputs == 2) return FoldRange<op, stores, 4>(streams, 2, count);
  if (streams.num_inputs <= 4) return FoldRange<op, stores, 2>(streams, streams.num_inputs, count);
  return FoldRange<op, stores, 1>(streams, streams.num_inputs, count);
}

// The compiler copies these for each instruction set; everything above is inlined into them.
#define BE_FOLD(name, T, op, stores)                                     \
  BE_VECTORISED int64_t name(const Streams<T>& streams, int64_t count) { \
    return FoldVectors<ReduceOp::op, Stores::stores>(streams, count);    \
  }
BE_FOLD(SumFloats, float, kSum, kPlain)
BE_FOLD(SumFloatsStreaming, float, kSum, kStreaming)
BE_FOLD(MaxFloats, float, kMax, kPlain)
BE_FOLD(MinFloats, float, kMin, kPlain)
BE_FOLD(SumHalves, uint16_t, kSum, kPlain)
BE_FOLD(SumHalvesStreaming, uint16_t, kSum, kStreaming)
BE_FOLD(MaxHalves, uint16_t, kMax, kPlain)
BE_FOLD(MinHalves, uint16_t, kMin, kPlain)
#undef BE_FOLD

int64_t Fold(const Streams<float>& streams, ReduceOp op, int64_t count, Stores stores) {
  if (op == ReduceOp::kMax) return MaxFloats(streams, count);
  if (op == ReduceOp::kMin) return MinFloats(streams, count);
  return stores == Stores::kStreaming ? SumFloatsStreaming(streams, count)
                                      : SumFloats(streams, count);
}
int64_t Fold(const Streams<uint16_t>& streams, ReduceOp op, int64_t count, Stores stores) {
  if (op == ReduceOp::kMax) return MaxHalves(streams, count);
  if (op == ReduceOp::kMin) return MinHalves(streams, count);
  return stores == Stores::kStreaming ? SumHalvesStreaming(streams, count)
                                      : SumHalves(streams, count);
}

// In pieces that stay in the first-level cache between the reduction and its copies.
void FoldByPieces(DType dtype, ReduceOp op, std::span<const void* const> inputs,
                  std::span<void* const> outputs, int64_t begin, int64_t end) {
  constexpr int64_t kPieceBytes = 8192;
  const int64_t element_bytes = SizeOf(dtype);
  const int64_t piece = kPieceBytes / element_bytes;
  alignas(64) char reduced[kPieceBytes];
  std::vector<const void*> parts(inputs.size());
  for (; begin < end; begin += piece) {
    const int64_t count = std::min(piece, end - begin);
    const int64_t offset = begin * element_bytes;
    for (size_t r = 0; r < parts.size(); ++r) {
      parts[r] = static_cast<const char*>(inputs[r]) + offset;
    }
    ReduceInOrder(dtype, op, parts, reduced, count);
    for (void* output : outputs) {
      std::memcpy(static_cast<char*>(output) + offset, reduced,
                  static_cast<size_t>(count * element_bytes));
    }
  }
}

template <typename T>
void FoldAs(DType dtype, ReduceOp op, std::span<const void* const> inputs,
            std::span<void* const> outputs, int64_t count, Stores stores) {
  for (void* output : outputs) {
    if (reinterpret_cast<uintptr_t>(output) % 16 != 0) stores = Stores::kPlain;
  }
  const Streams<T> streams = {reinterpret_cast<const T* const*>(inputs.data()), inputs.size(),
                              reinterpret_cast<T* const*>(outputs.data()), outputs.size()};
  const int64_t done = Fold(streams, op, count, stores);
#if defined(__x86_64__)
  if (stores == Stores::kStreaming) _mm_sfence();
#endif
  if (done < count) FoldByPieces(dtype, op, inputs, outputs, done, count);
}

size_t Bits(int64_t num_bytes) {
  return static_cast<size_t>(std::bit_width(static_cast<uint64_t>(num_bytes)));
}

}  // namespace

Stores StoreChoice::Choose(int64_t num_bytes) const {
  if (num_bytes < kFewestBytes) return Stores::kPlain;
  const Trials& trials = trials_[Bits(num_bytes)];
  if (trials.count < 2 * kTrials) {
    // Not by turns: each would find the cache as the other has left it.
    return trials.count < kTrials ? Stores::kPlain : Stores::kStreaming;
  }
  return trials.best[1] > trials.best[0] ? Stores::kStreaming : Stores::kPlain;
}

void StoreChoice::Report(Stores stores, int64_t num_bytes, double seconds) {
  if (num_bytes < kFewestBytes) return;
  Trials& trials = trials_[Bits(num_bytes)];
  if (trials.count >= 2 * kTrials) return;
  ++trials.count;
  double& best = trials.best[stores == Stores::kStreaming ? 1 : 0];
  best = std::max(best, static_cast<double>(num_bytes) / std::max(seconds, 1e-9));
}

void FoldInOrder(DType dtype, ReduceOp op, std::span<const void* const> inputs,
                 std::span<void* const> outputs, int64_t count, Stores stores) {
  BE_CHECK(!inputs.empty() && !outputs.empty(), "a reduction of nothing");
  if (count <= 0) return;
  if (dtype == DType::kFloat32) {
    FoldAs<float>(dtype, op, inputs, outputs, count, stores);
  } else if (dtype == DType::kBFloat16) {
    FoldAs<uint16_t>(dtype, op, inputs, outputs, count, stores);
  } else {
    FoldByPieces(dtype, op, inputs, outputs, 0, count);
  }
}

void FoldPartial(DType dtype, ReduceOp op, std::span<const void* const> inputs, void* partial,
                 int64_t count, bool first) {
  if (dtype != DType::kBFloat16) {
    std::vector<const void*> all(inputs.begin(), inputs.end());
    if (!first) all.insert(all.begin(), partial);
    void* const out[] = {partial};
    return FoldInOrder(dtype, op, all, out, count, Stores::kPlain);
  }
  // Widened one input at a time: exact, and the order stays.
  constexpr int64_t kPiece = 2048;
  alignas(64) float wide[kPiece];
  float* sums = static_cast<float*>(partial);
  for (int64_t begin = 0; begin < count; begin += kPiece) {
    const int64_t size = std::min(kPiece, count - begin);
    for (size_t r = 0; r < inputs.size(); ++r) {
      const uint16_t* halves = static_cast<const uint16_t*>(inputs[r]) + begin;
      float* to = first && r == 0 ? sums + begin : wide;
      for (int64_t i = 0; i < size; ++i) {
        const uint32_t bits = static_cast<uint32_t>(halves[i]) << 16;
        std::memcpy(to + i, &bits, sizeof(bits));
      }
      if (to != wide) continue;
      const void* const pair[] = {sums + begin, wide};
      void* const out[] = {sums + begin};
      FoldInOrder(DType::kFloat32, op, pair, out, size, Stores::kPlain);
    }
  }
}

void StorePartial(DType dtype, const void* partial, std::span<void* const> outputs, int64_t count) {
  if (dtype != DType::kBFloat16) {
    const size_t num_bytes = static_cast<size_t>(count * SizeOf(dtype));
    for (void* output : outputs) {
      if (output != partial && num_bytes > 0) std::memcpy(output, partial, num_bytes);
    }
    return;
  }
  const float* sums = static_cast<const float*>(partial);
  for (size_t k = 0; k < outputs.size(); ++k) {
    uint16_t* halves = static_cast<uint16_t*>(outputs[k]);
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      Store<Stores::kPlain>(Load(sums + i), halves + i);
    }
    for (; i < count; ++i) {
      Floats value = {};
      value[0] = sums[i];
      uint16_t lanes[kLanes];
      Store<Stores::kPlain>(value, lanes);
      halves[i] = lanes[0];
    }
  }
}

namespace {
#ifdef BE_SEVERAL_INSTRUCTION_SETS
__attribute__((target("default"))) const char* ChosenSet() { return "baseline"; }
__attribute__((target("arch=x86-64-v3"))) const char* ChosenSet() { return "avx2"; }
__attribute__((target("arch=x86-64-v4"))) const char* ChosenSet() { return "avx512"; }
#else
const char* ChosenSet() { return "baseline"; }
#endif
}  // namespace

const char* FoldInstructionSet() { return ChosenSet(); }

}  // namespace breakeven
