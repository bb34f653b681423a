// Pure. How much of the logits is there at a time: shared by who computes them and who reckons memory.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_HEAD_CHUNKS_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_HEAD_CHUNKS_H_

#include <algorithm>
#include <cstdint>

namespace breakeven {

// Rows of a chunk, at most. Each chunk reads the whole head twice and adds to the whole of its gradient:
// fewer chunks move less memory, smaller ones keep their logits in the cache.
inline constexpr int64_t kHeadChunkRows = 256;

// Rows of each chunk of `num_rows` but the last: chunks of about equal size.
inline int64_t RowsOfHeadChunk(int64_t num_rows) {
  const int64_t chunks = std::max<int64_t>(1, (num_rows + kHeadChunkRows - 1) / kHeadChunkRows);
  return (num_rows + chunks - 1) / chunks;
}

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_HEAD_CHUNKS_H_
