// Pure. What the kernels of attention share: where a head's rows lie, reading and writing them with the
// rotation on the way, the softmax of a row of scores. Included by their .cpp files only.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_ATTENTION_ROWS_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_ATTENTION_ROWS_H_

#include <cstdint>

#include "trainer/autograd/attention_kernel.h"
#include "trainer/autograd/vector_math.h"

namespace breakeven::attention_rows {

using vector_math::Exp;
using vector_math::Floats;
using vector_math::HorizontalMax;
using vector_math::HorizontalSum;
using vector_math::Ints;
using vector_math::kLanes;
using vector_math::Load;
using vector_math::LoadWhole;
using vector_math::Splat;
using vector_math::Store;
using vector_math::StorePairs;
using vector_math::StoreWhole;

// Query rows that are in work at a time: what lies above the diagonal of a block is computed for nothing.
inline constexpr int64_t kBlockRows = 16;

BE_INLINE int64_t Padded(int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

template <typename T>
struct Rows {
  Rows(const AttentionSegment<T>& s, int64_t kv_head)
      : dim(s.head_dim),
        width((s.num_heads + 2 * s.num_kv_heads) * dim),
        out_width(s.num_heads * dim),
        group(s.num_heads / s.num_kv_heads),
        first_head(kv_head * group),
        key_column((s.num_heads + kv_head) * dim),
        value_column((s.num_heads + s.num_kv_heads + kv_head) * dim) {}
  int64_t dim, width, out_width, group, first_head, key_column, value_column;
};

template <typename T>
BE_INLINE const float* AnglesOf(const AttentionSegment<T>& segment, const float* angles,
                                int64_t token) {
  return angles == nullptr ? nullptr : angles + token * (segment.head_dim / 2);
}

// A row of two halves turned by each pair's angle, and scaled; a negative `sin_scale` turns back.
template <typename From, typename To>
BE_INLINE void Turn(const From* from, int64_t half, const float* cos, const float* sin,
                    float cos_scale, float sin_scale, To* to) {
  for (int64_t i = 0; i < half; i += kLanes) {
    const int64_t count = half - i;
    const Floats c = Load(cos + i, count) * cos_scale;
    const Floats s = Load(sin + i, count) * sin_scale;
    const Floats low = Load(from + i, count);
    const Floats high = Load(from + half + i, count);
    Store(to + i, low * c - high * s, count);
    Store(to + half + i, high * c + low * s, count);
  }
}

// One head's row as floats in [Dp], zeros beyond D; rotated by the token's angles and scaled.
template <typename T>
BE_INLINE void ReadHead(const T* from, int64_t head_dim, const float* cos, const float* sin,
                        float scale, float* to) {
  if (cos == nullptr) {
    for (int64_t i = 0; i < head_dim; i += kLanes) {
      StoreWhole(to + i, Load(from + i, head_dim - i) * scale);
    }
    return;
  }
  const int64_t half = head_dim / 2;
  if (half % kLanes != 0) StoreWhole(to + Padded(head_dim) - kLanes, Floats{});
  Turn(from, half, cos, sin, scale, scale, to);
}

// The way back: a gradient's row in scratch, rotated back, to one head's row.
template <typename T>
BE_INLINE void WriteHead(const float* from, int64_t head_dim, const float* cos, const float* sin,
                         float scale, T* to) {
  if (cos == nullptr) {
    for (int64_t i = 0; i < head_dim; i += kLanes) {
      Store(to + i, LoadWhole(from + i) * scale, head_dim - i);
    }
    return;
  }
  Turn(from, head_dim / 2, cos, sin, scale, -scale, to);
}

// Of a row of scores (or exponentials), padded to whole vectors, the first `count` count.
BE_INLINE Floats Keep(const Floats& values, int64_t first, int64_t count, float filler) {
  if (first + kLanes <= count) return values;
  constexpr Ints kLane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return kLane < static_cast<int32_t>(count - first) ? values : Splat(filler);
}

BE_INLINE float MaxOf(const float* row, int64_t count) {
  Floats max = Splat(row[0]);
  for (int64_t c = 0; c < count; c += kLanes) {
    max = vector_math::Max(Keep(LoadWhole(row + c), c, count, row[0]), max);
  }
  return HorizontalMax(max);
}

// exp(scale · score - shift) of sixteen columns from c on of a row, zeros from column `seen` on.
BE_INLINE Floats Exponential(const float* row, int64_t c, int64_t seen, float scale, float shift) {
  return c < seen ? Keep(Exp(LoadWhole(row + c) * scale - shift), c, seen, 0.0f) : Floats{};
}

// Gradients of `count` rotated queries of a head from `begin` on, [count, Dp] with rows of `width`, to
// where they belong.
template <typename T>
BE_INLINE void WriteGradOfQueries(const AttentionSegment<T>& segment, const Rows<T>& rows,
                                  int64_t head, int64_t begin, int64_t count, const float* grad,
                                  int64_t width) {
  for (int64_t r = 0; r < count; ++r) {
    const int64_t t = begin + r;
    WriteHead(grad + r * width, rows.dim, AnglesOf(segment, segment.cos, t),
              AnglesOf(segment, segment.sin, t), segment.scale,
              segment.grad_qkv + t * rows.width + head * rows.dim);
  }
}

// Those of the rotated keys, still to be scaled, and of the values: [L, Dp].
template <typename T>
BE_INLINE void WriteGradOfKeysAndValues(const AttentionSegment<T>& segment, const Rows<T>& rows,
                                        const float* grad_key, const float* grad_value,
                                        int64_t width, float key_scale) {
  for (int64_t t = 0; t < segment.length; ++t) {
    T* row = segment.grad_qkv + t * rows.width;
    WriteHead(grad_key + t * width, rows.dim, AnglesOf(segment, segment.cos, t),
              AnglesOf(segment, segment.sin, t), key_scale, row + rows.key_column);
    WriteHead(grad_value + t * width, rows.dim, nullptr, nullptr, 1.0f, row + rows.value_column);
  }
}

}  // namespace breakeven::attention_rows

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_ATTENTION_ROWS_H_
