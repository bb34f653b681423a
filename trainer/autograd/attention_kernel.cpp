// Pure.
#include "trainer/autograd/attention_kernel.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "trainer/autograd/attention_bfloat16.h"
#include "trainer/autograd/attention_rows.h"

namespace breakeven {
namespace {

using namespace attention_rows;  // NOLINT(google-build-using-namespace)

// A matrix in scratch or rows: element (row, column) at data[row · row_step + column · column_step].
struct Left {
  const float* data;
  int64_t row_step;
  int64_t column_step;
};

// kRows × kVectors·16 elements of left · right, in registers.
template <int kRows, int kVectors>
BE_INLINE void Tile(const Left& left, const float* right, int64_t right_row, int64_t depth,
                    float* out, int64_t out_row, bool add) {
  Floats sums[kRows][kVectors] = {};
  for (int64_t k = 0; k < depth; ++k) {
    Floats columns[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) columns[v] = LoadWhole(right + k * right_row + v * kLanes);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const Floats value = Splat(left.data[r * left.row_step + k * left.column_step]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[r][v] += value * columns[v];
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      float* to = out + r * out_row + v * kLanes;
      StoreWhole(to, add ? LoadWhole(to) + sums[r][v] : sums[r][v]);
    }
  }
}

template <int kVectors>
BE_INLINE void Panel(Left left, const float* right, int64_t right_row, int64_t rows, int64_t depth,
                     float* out, int64_t out_row, bool add) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    Tile<4, kVectors>(left, right, right_row, depth, out + r * out_row, out_row, add);
    left.data += 4 * left.row_step;
  }
  for (; r < rows; ++r) {
    Tile<1, kVectors>(left, right, right_row, depth, out + r * out_row, out_row, add);
    left.data += left.row_step;
  }
}

// out [rows, columns] = or += left [rows, depth] · right [depth, columns]; columns a multiple of 16.
BE_INLINE void Multiply(const Left& left, const float* right, int64_t right_row, int64_t rows,
                        int64_t columns, int64_t depth, float* out, int64_t out_row,
                        bool add = false) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= columns; c += 4 * kLanes) {
    Panel<4>(left, right + c, right_row, rows, depth, out + c, out_row, add);
  }
  for (; c < columns; c += kLanes) {
    Panel<1>(left, right + c, right_row, rows, depth, out + c, out_row, add);
  }
}

BE_INLINE void Transpose(const float* from, int64_t rows, int64_t columns, int64_t from_row,
                         float* to, int64_t to_row) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) to[c * to_row + r] = from[r * from_row + c];
  }
}

// Where things lie in the scratch.
struct Scratch {
  Scratch(float* memory, int64_t length, int64_t head_dim)
      : width(Padded(head_dim)), columns(Padded(length)), transposed_row(columns | kLanes) {
    const auto take = [&memory](int64_t count) { return std::exchange(memory, memory + count); };
    key = take(columns * width);
    value = take(columns * width);
    key_transposed = take(width * transposed_row);
    value_transposed = take(width * transposed_row);
    grad_key = take(columns * width);
    grad_value = take(columns * width);
    query = take(kBlockRows * width);
    out = take(kBlockRows * width);
    grad_out = take(kBlockRows * width);
    scores = take(kBlockRows * columns);
    grad_scores = take(kBlockRows * columns);
  }
  static int64_t Size(int64_t length, int64_t head_dim) {
    return Padded(head_dim) * (6 * Padded(length) + 2 * kLanes + 3 * kBlockRows) +
           2 * kBlockRows * Padded(length);
  }
  int64_t width;    // Dp
  int64_t columns;  // Lp
  // An odd number of cache lines: of 256 keys a column would lie in a quarter of a first-level cache's sets.
  int64_t transposed_row;
  float *key, *value;                        // [Lp, Dp]
  float *key_transposed, *value_transposed;  // [Dp, Lp], rows of transposed_row
  float *grad_key, *grad_value;              // [Lp, Dp]
  float *query, *out, *grad_out;             // [rows, Dp]
  float *scores, *grad_scores;               // [rows, Lp]
};

template <typename T>
BE_INLINE void ReadKeysAndValues(const AttentionSegment<T>& segment, const Rows<T>& rows,
                                 const Scratch& scratch, bool for_backward) {
  for (int64_t t = 0; t < segment.length; ++t) {
    const T* row = segment.qkv + t * rows.width;
    ReadHead(row + rows.key_column, rows.dim, AnglesOf(segment, segment.cos, t),
             AnglesOf(segment, segment.sin, t), 1.0f, scratch.key + t * scratch.width);
    ReadHead(row + rows.value_column, rows.dim, nullptr, nullptr, 1.0f,
             scratch.value + t * scratch.width);
  }
  const int64_t rest = scratch.columns - segment.length;
  std::fill_n(scratch.key + segment.length * scratch.width, rest * scratch.width, 0.0f);
  std::fill_n(scratch.value + segment.length * scratch.width, rest * scratch.width, 0.0f);
  Transpose(scratch.key, scratch.columns, scratch.width, scratch.width, scratch.key_transposed,
            scratch.transposed_row);
  if (for_backward) {
    Transpose(scratch.value, scratch.columns, scratch.width, scratch.width,
              scratch.value_transposed, scratch.transposed_row);
  }
}

// The first `count` scores of a row to exp(score - shift), the others to zero; the sum, by lanes.
BE_INLINE Floats Exponentials(float* row, int64_t count, int64_t columns, float shift) {
  Floats sum = {};
  for (int64_t c = 0; c < columns; c += kLanes) {
    const Floats e = Exponential(row, c, count, 1.0f, shift);
    StoreWhole(row + c, e);
    sum += e;
  }
  return sum;
}

template <typename T>
BE_INLINE void ForwardInFloat32(const AttentionSegment<T>& segment, int64_t kv_head,
                                float* memory) {
  const Scratch scratch(memory, segment.length, segment.head_dim);
  const Rows<T> rows(segment, kv_head);
  const int64_t width = scratch.width;
  ReadKeysAndValues(segment, rows, scratch, /*for_backward=*/false);
  for (int64_t head = rows.first_head; head < rows.first_head + rows.group; ++head) {
    for (int64_t begin = 0; begin < segment.length; begin += kBlockRows) {
      const int64_t count = std::min(kBlockRows, segment.length - begin);
      const int64_t keys = begin + count;
      const int64_t columns = Padded(keys);
      for (int64_t r = 0; r < count; ++r) {
        const int64_t t = begin + r;
        ReadHead(segment.qkv + t * rows.width + head * rows.dim, rows.dim,
                 AnglesOf(segment, segment.cos, t), AnglesOf(segment, segment.sin, t),
                 segment.scale, scratch.query + r * width);
      }
      Multiply({scratch.query, width, 1}, scratch.key_transposed, scratch.transposed_row, count,
               columns, rows.dim, scratch.scores, columns);
      float inverse[kBlockRows];
      for (int64_t r = 0; r < count; ++r) {
        float* row = scratch.scores + r * columns;
        const float max = MaxOf(row, begin + r + 1);
        const float sum = HorizontalSum(Exponentials(row, begin + r + 1, columns, max));
        inverse[r] = 1.0f / sum;
        segment.log_sum_exp[(begin + r) * segment.num_heads + head] = max + std::log(sum);
      }
      Multiply({scratch.scores, columns, 1}, scratch.value, width, count, width, keys, scratch.out,
               width);
      for (int64_t r = 0; r < count; ++r) {
        WriteHead(scratch.out + r * width, rows.dim, nullptr, nullptr, inverse[r],
                  segment.out + (begin + r) * rows.out_width + head * rows.dim);
      }
    }
  }
}

// Scores of the block to probabilities, and grad_scores = probabilities · (dP - Σ dO·O).
template <typename T>
BE_INLINE void BackwardOfSoftmax(const AttentionSegment<T>& segment, const Scratch& scratch,
                                 int64_t head, int64_t begin, int64_t count, int64_t columns) {
  for (int64_t r = 0; r < count; ++r) {
    float* row = scratch.scores + r * columns;
    float* grad = scratch.grad_scores + r * columns;
    Exponentials(row, begin + r + 1, columns,
                 segment.log_sum_exp[(begin + r) * segment.num_heads + head]);
    Floats products = {};
    for (int64_t i = 0; i < scratch.width; i += kLanes) {
      products += LoadWhole(scratch.out + r * scratch.width + i) *
                  LoadWhole(scratch.grad_out + r * scratch.width + i);
    }
    const float dot = HorizontalSum(products);
    for (int64_t c = 0; c < columns; c += kLanes) {
      StoreWhole(grad + c, LoadWhole(row + c) * (LoadWhole(grad + c) - dot));
    }
  }
}

template <typename T>
BE_INLINE void BackwardInFloat32(const AttentionSegment<T>& segment, int64_t kv_head,
                                 float* memory) {
  const Scratch scratch(memory, segment.length, segment.head_dim);
  const Rows<T> rows(segment, kv_head);
  const int64_t width = scratch.width;
  ReadKeysAndValues(segment, rows, scratch, /*for_backward=*/true);
  std::fill_n(scratch.grad_key, scratch.columns * width, 0.0f);
  std::fill_n(scratch.grad_value, scratch.columns * width, 0.0f);
  for (int64_t head = rows.first_head; head < rows.first_head + rows.group; ++head) {
    for (int64_t begin = 0; begin < segment.length; begin += kBlockRows) {
      const int64_t count = std::min(kBlockRows, segment.length - begin);
      const int64_t keys = begin + count;
      const int64_t columns = Padded(keys);
      for (int64_t r = 0; r < count; ++r) {
        const int64_t t = begin + r;
        const int64_t place = t * rows.out_width + head * rows.dim;
        ReadHead(segment.qkv + t * rows.width + head * rows.dim, rows.dim,
                 AnglesOf(segment, segment.cos, t), AnglesOf(segment, segment.sin, t),
                 segment.scale, scratch.query + r * width);
        ReadHead(segment.out + place, rows.dim, nullptr, nullptr, 1.0f, scratch.out + r * width);
        ReadHead(segment.grad_out + place, rows.dim, nullptr, nullptr, 1.0f,
                 scratch.grad_out + r * width);
      }
      Multiply({scratch.query, width, 1}, scratch.key_transposed, scratch.transposed_row, count,
               columns, rows.dim, scratch.scores, columns);
      Multiply({scratch.grad_out, width, 1}, scratch.value_transposed, scratch.transposed_row,
               count, columns, rows.dim, scratch.grad_scores, columns);
      BackwardOfSoftmax(segment, scratch, head, begin, count, columns);
      Multiply({scratch.scores, 1, columns}, scratch.grad_out, width, keys, width, count,
               scratch.grad_value, width, /*add=*/true);
      Multiply({scratch.grad_scores, 1, columns}, scratch.query, width, keys, width, count,
               scratch.grad_key, width, /*add=*/true);
      Multiply({scratch.grad_scores, columns, 1}, scratch.key, width, count, width, keys,
               scratch.out, width);
      WriteGradOfQueries(segment, rows, head, begin, count, scratch.out, width);
    }
  }
  WriteGradOfKeysAndValues(segment, rows, scratch.grad_key, scratch.grad_value, width,
                           /*key_scale=*/1.0f);
}

bool InBFloat16(const AttentionSegment<BFloat16>& segment) {
  return !segment.float32_products && attention_bfloat16::Serves(segment.head_dim);
}

}  // namespace

int64_t AttentionScratch(int64_t length, int64_t head_dim) {
  return std::max(Scratch::Size(length, head_dim),
                  attention_bfloat16::ScratchSize(length, head_dim));
}

BE_VECTORISED void AttendForward(const AttentionSegment<float>& segment, int64_t kv_head,
                                 float* scratch) {
  ForwardInFloat32(segment, kv_head, scratch);
}
BE_VECTORISED void AttendBackward(const AttentionSegment<float>& segment, int64_t kv_head,
                                  float* scratch) {
  BackwardInFloat32(segment, kv_head, scratch);
}
BE_VECTORISED void AttendForward(const AttentionSegment<BFloat16>& segment, int64_t kv_head,
                                 float* scratch) {
  if (InBFloat16(segment)) return attention_bfloat16::Forward(segment, kv_head, scratch);
  ForwardInFloat32(segment, kv_head, scratch);
}
BE_VECTORISED void AttendBackward(const AttentionSegment<BFloat16>& segment, int64_t kv_head,
                                  float* scratch) {
  if (InBFloat16(segment)) return attention_bfloat16::Backward(segment, kv_head, scratch);
  BackwardInFloat32(segment, kv_head, scratch);
}

}  // namespace breakeven
