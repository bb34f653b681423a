// Pure.
#include "trainer/autograd/attention_bfloat16.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "comm/base/error.h"
#include "trainer/autograd/attention_rows.h"
#include "trainer/autograd/pack_lines.h"
#include "trainer/autograd/packed_product.h"
#include "trainer/autograd/word_products.h"

namespace breakeven::attention_bfloat16 {

bool Serves(int64_t head_dim) { return HasPackedProduct<BFloat16>() && head_dim % 2 == 0; }

#if defined(__x86_64__)

namespace {

using namespace attention_rows;  // NOLINT(google-build-using-namespace)
using word_products::Multiply;

int64_t WordsOf(int64_t count) { return (count + 1) / 2; }

// Where things lie in the scratch. A word is two neighbours of bfloat16: of a head's row, of keys, or of
// queries.
struct Scratch {
  Scratch(float* memory, int64_t length, int64_t head_dim)
      : width(Padded(head_dim)),
        columns(Padded(length)),
        packed_row(columns | kLanes),
        head_words(head_dim / 2) {
    const auto take = [&memory](int64_t count) { return std::exchange(memory, memory + count); };
    const auto words = [&](int64_t count) { return reinterpret_cast<uint32_t*>(take(count)); };
    const auto halves = [&](int64_t count) { return reinterpret_cast<BFloat16*>(words(count)); };
    row = take(width);
    key = halves(columns * head_words);
    key_by_head_words = words(head_words * packed_row);
    value_by_head_words = words(head_words * packed_row);
    by_key_words = words(columns / 2 * width);
    grad_key = take(columns * width);
    grad_value = take(columns * width);
    query = halves(kBlockRows * head_words);
    query_by_queries = words(kBlockRows / 2 * width);
    grad_out_by_queries = words(kBlockRows / 2 * width);
    out = take(kBlockRows * width);
    scores = take(kBlockRows * columns);
    grad_scores = take(kBlockRows * columns);
    rounded_scores = halves(kBlockRows * columns / 2);
    probabilities_by_queries = words(kBlockRows / 2 * packed_row);
    grad_scores_by_queries = words(kBlockRows / 2 * packed_row);
  }
  static int64_t Size(int64_t length, int64_t head_dim) {
    const int64_t width = Padded(head_dim), columns = Padded(length);
    const int64_t rows_of_heads = width / 2 * (columns + kBlockRows);  // key, query
    const int64_t by_head_words = width * (columns | kLanes);          // key, value
    const int64_t by_keys = width * (columns / 2 + 2 * columns);       // by_key_words, gradients
    const int64_t by_queries = width * (2 * kBlockRows / 2 + kBlockRows);  // query, grad_out; out
    const int64_t of_scores =
        kBlockRows * (2 * columns + columns / 2 + (columns | kLanes));  // as they stand above
    return width + rows_of_heads + by_head_words + by_keys + by_queries + of_scores;
  }
  int64_t width;       // Dp
  int64_t columns;     // Lp
  int64_t packed_row;  // an odd number of cache lines, as in attention_kernel.cpp
  int64_t head_words;  // D/2
  float* row;          // [Dp]
  BFloat16* key;       // [L, D], rotated
  uint32_t *key_by_head_words, *value_by_head_words;  // [D/2, Lp], rows of packed_row
  // [Lp/2, Dp]: of values in the forward pass, of keys in the backward pass.
  uint32_t* by_key_words;
  float *grad_key, *grad_value;                      // [Lp, Dp]
  BFloat16* query;                                   // [rows, D], rotated
  uint32_t *query_by_queries, *grad_out_by_queries;  // [rows/2, Dp]
  float* out;                                        // [rows, Dp]
  float *scores, *grad_scores;                       // [rows, Lp]
  BFloat16* rounded_scores;  // [rows, Lp]: exponentials; in the backward pass gradients of scores
  uint32_t *probabilities_by_queries, *grad_scores_by_queries;  // [rows/2, Lp], rows of packed_row
};

// What the steps of one call need. A block is `count` queries of a head, from `begin` on.
struct Call {
  Call(const AttentionSegment<BFloat16>& s, int64_t kv_head, float* memory)
      : segment(s), rows(s, kv_head), scratch(memory, s.length, s.head_dim) {}
  const AttentionSegment<BFloat16>& segment;
  Rows<BFloat16> rows;
  Scratch scratch;
};
struct Block {
  int64_t head, begin, count;
  int64_t keys() const { return begin + count; }
  int64_t columns() const { return Padded(keys()); }
};

// One head's row, rotated by its token's angles.
BE_INLINE void ReadRotated(const Call& call, int64_t token, int64_t column, BFloat16* to) {
  const AttentionSegment<BFloat16>& segment = call.segment;
  const int64_t dim = call.rows.dim;
  ReadHead(segment.qkv + token * call.rows.width + column, dim,
           AnglesOf(segment, segment.cos, token), AnglesOf(segment, segment.sin, token), 1.0f,
           call.scratch.row);
  for (int64_t i = 0; i < dim; i += kLanes) {
    Store(to + i, LoadWhole(call.scratch.row + i), dim - i);
  }
}

BE_INLINE void ReadKeys(const Call& call) {
  const Scratch& scratch = call.scratch;
  for (int64_t t = 0; t < call.segment.length; ++t) {
    ReadRotated(call, t, call.rows.key_column, scratch.key + t * call.rows.dim);
  }
  PackPanels(ProductSide<BFloat16>{scratch.key, call.rows.dim, true}, 0, call.segment.length, 0,
             call.rows.dim, scratch.head_words, scratch.packed_row, scratch.key_by_head_words);
}

BE_INLINE void ReadQueries(const Call& call, const Block& block) {
  for (int64_t r = 0; r < block.count; ++r) {
    ReadRotated(call, block.begin + r, block.head * call.rows.dim,
                call.scratch.query + r * call.rows.dim);
  }
}

// Words of neighbouring rows: [rows/2, panel], zeros beyond `columns`.
BE_INLINE void PackAcross(const BFloat16* from, int64_t stride, int64_t rows, int64_t columns,
                          int64_t panel, uint32_t* to) {
  PackPanels(ProductSide<BFloat16>{from, stride, false}, 0, columns, 0, rows, WordsOf(rows), panel,
             to);
}

BE_INLINE void MultiplyByKeys(const Call& call, const Block& block) {
  const Scratch& scratch = call.scratch;
  Multiply({scratch.query, scratch.head_words, 1}, {scratch.key_by_head_words, scratch.packed_row},
           block.count, block.columns(), scratch.head_words, scratch.scores, block.columns());
}

// out = rounded_scores · by_key_words.
BE_INLINE void MultiplyByRoundedScores(const Call& call, const Block& block) {
  const Scratch& scratch = call.scratch;
  Multiply({scratch.rounded_scores, block.columns() / 2, 1}, {scratch.by_key_words, scratch.width},
           block.count, scratch.width, WordsOf(block.keys()), scratch.out, scratch.width);
}

BE_INLINE void ForwardOfBlock(const Call& call, const Block& block) {
  const auto& [segment, rows, scratch] = call;
  const int64_t columns = block.columns();
  ReadQueries(call, block);
  MultiplyByKeys(call, block);
  float inverse[kBlockRows];
  for (int64_t r = 0; r < block.count; ++r) {
    const int64_t token = block.begin + r;
    const float* row = scratch.scores + r * columns;
    const float max = MaxOf(row, token + 1) * segment.scale;
    Floats sums = {};
    for (int64_t c = 0; c < columns; c += kLanes) {
      const Floats e = Exponential(row, c, token + 1, segment.scale, max);
      StoreWhole(scratch.rounded_scores + r * columns + c, e);
      sums += e;
    }
    const float sum = HorizontalSum(sums);
    inverse[r] = 1.0f / sum;
    segment.log_sum_exp[token * segment.num_heads + block.head] = max + std::log(sum);
  }
  MultiplyByRoundedScores(call, block);
  for (int64_t r = 0; r < block.count; ++r) {
    WriteHead(scratch.out + r * scratch.width, rows.dim, nullptr, nullptr, inverse[r],
              segment.out + (block.begin + r) * rows.out_width + block.head * rows.dim);
  }
}

// What the gradients of one row of scores are made of.
struct RowOfScores {
  const float* scores;
  const float* grad;
  int64_t seen;
  float shift;  // log Σ exp
  float dot;    // Σ dO·O
};

BE_INLINE RowOfScores RowAt(const Call& call, const Block& block, int64_t r) {
  const auto& [segment, rows, scratch] = call;
  const int64_t token = block.begin + r;
  const int64_t place = token * rows.out_width + block.head * rows.dim;
  Floats products = {};
  for (int64_t i = 0; i < rows.dim; i += kLanes) {
    products += Load(segment.out + place + i, rows.dim - i) *
                Load(segment.grad_out + place + i, rows.dim - i);
  }
  return {scratch.scores + r * block.columns(), scratch.grad_scores + r * block.columns(),
          token + 1, segment.log_sum_exp[token * segment.num_heads + block.head],
          HorizontalSum(products)};
}

// Of scores and grad_scores (dP): probabilities P, and P · (dP - Σ dO·O), both by words of two queries, the
// latter in rounded_scores, too.
BE_INLINE void BackwardOfSoftmax(const Call& call, const Block& block) {
  const Scratch& scratch = call.scratch;
  const float scale = call.segment.scale;
  const int64_t columns = block.columns();
  for (int64_t r = 0; r < block.count; r += 2) {
    const RowOfScores first = RowAt(call, block, r);
    // Behind an odd last row comes any: it meets the zeros that fill up the right sides' last words.
    const bool two = r + 1 < block.count;
    const RowOfScores second = two ? RowAt(call, block, r + 1) : first;
    uint32_t* probabilities = scratch.probabilities_by_queries + r / 2 * scratch.packed_row;
    uint32_t* grads = scratch.grad_scores_by_queries + r / 2 * scratch.packed_row;
    BFloat16* grad_rows = scratch.rounded_scores + r * columns;
    for (int64_t c = 0; c < columns; c += kLanes) {
      const Floats p0 = Exponential(first.scores, c, first.seen, scale, first.shift);
      const Floats p1 = Exponential(second.scores, c, second.seen, scale, second.shift);
      const Floats d0 = p0 * (LoadWhole(first.grad + c) - first.dot);
      const Floats d1 = p1 * (LoadWhole(second.grad + c) - second.dot);
      StorePairs(probabilities + c, p0, p1);
      StorePairs(grads + c, d0, d1);
      StoreWhole(grad_rows + c, d0);
      if (two) StoreWhole(grad_rows + columns + c, d1);
    }
  }
}

// grad [keys, Dp] += the transpose of a block's scores by queries · `right`.
BE_INLINE void AddOverQueries(const Call& call, const Block& block, const uint32_t* by_queries,
                              const uint32_t* right, float* grad) {
  const Scratch& scratch = call.scratch;
  Multiply({by_queries, 1, scratch.packed_row}, {right, scratch.width}, block.keys(), scratch.width,
           WordsOf(block.count), grad, scratch.width, /*add=*/true);
}

BE_INLINE void BackwardOfBlock(const Call& call, const Block& block) {
  const auto& [segment, rows, scratch] = call;
  const BFloat16* grad_out =
      segment.grad_out + block.begin * rows.out_width + block.head * rows.dim;
  ReadQueries(call, block);
  PackAcross(scratch.query, rows.dim, block.count, rows.dim, scratch.width,
             scratch.query_by_queries);
  PackAcross(grad_out, rows.out_width, block.count, rows.dim, scratch.width,
             scratch.grad_out_by_queries);
  MultiplyByKeys(call, block);
  Multiply({grad_out, rows.out_width / 2, 1}, {scratch.value_by_head_words, scratch.packed_row},
           block.count, block.columns(), scratch.head_words, scratch.grad_scores, block.columns());
  BackwardOfSoftmax(call, block);
  AddOverQueries(call, block, scratch.probabilities_by_queries, scratch.grad_out_by_queries,
                 scratch.grad_value);
  AddOverQueries(call, block, scratch.grad_scores_by_queries, scratch.query_by_queries,
                 scratch.grad_key);
  MultiplyByRoundedScores(call, block);
  WriteGradOfQueries(segment, rows, block.head, block.begin, block.count, scratch.out,
                     scratch.width);
}

}  // namespace

int64_t ScratchSize(int64_t length, int64_t head_dim) { return Scratch::Size(length, head_dim); }

BE_VECTORISED void Forward(const AttentionSegment<BFloat16>& segment, int64_t kv_head,
                           float* memory) {
  const Call call(segment, kv_head, memory);
  ReadKeys(call);
  PackAcross(segment.qkv + call.rows.value_column, call.rows.width, segment.length, call.rows.dim,
             call.scratch.width, call.scratch.by_key_words);
  const int64_t end = call.rows.first_head + call.rows.group;
  for (int64_t head = call.rows.first_head; head < end; ++head) {
    for (int64_t begin = 0; begin < segment.length; begin += kBlockRows) {
      ForwardOfBlock(call, {head, begin, std::min(kBlockRows, segment.length - begin)});
    }
  }
}

BE_VECTORISED void Backward(const AttentionSegment<BFloat16>& segment, int64_t kv_head,
                            float* memory) {
  const Call call(segment, kv_head, memory);
  const Rows<BFloat16>& rows = call.rows;
  const Scratch& scratch = call.scratch;
  ReadKeys(call);
  PackAcross(scratch.key, rows.dim, segment.length, rows.dim, scratch.width, scratch.by_key_words);
  PackPanels(ProductSide<BFloat16>{segment.qkv + rows.value_column, rows.width, true}, 0,
             segment.length, 0, rows.dim, scratch.head_words, scratch.packed_row,
             scratch.value_by_head_words);
  std::fill_n(scratch.grad_key, scratch.columns * scratch.width, 0.0f);
  std::fill_n(scratch.grad_value, scratch.columns * scratch.width, 0.0f);
  const int64_t end = call.rows.first_head + call.rows.group;
  for (int64_t head = call.rows.first_head; head < end; ++head) {
    for (int64_t begin = 0; begin < segment.length; begin += kBlockRows) {
      BackwardOfBlock(call, {head, begin, std::min(kBlockRows, segment.length - begin)});
    }
  }
  WriteGradOfKeysAndValues(segment, rows, scratch.grad_key, scratch.grad_value, scratch.width,
                           segment.scale);
}

#else

int64_t ScratchSize(int64_t, int64_t) { return 0; }
void Forward(const AttentionSegment<BFloat16>&, int64_t, float*) {
  BE_CHECK(false, "no AVX512-BF16 here");
}
void Backward(const AttentionSegment<BFloat16>&, int64_t, float*) {
  BE_CHECK(false, "no AVX512-BF16 here");
}

#endif

}  // namespace breakeven::attention_bfloat16
