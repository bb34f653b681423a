// A packed micro-batch on the host: its examples (segments) laid end to end, no padding.
#ifndef BREAKEVEN_DATA_PIPELINE_MICRO_BATCH_H_
#define BREAKEVEN_DATA_PIPELINE_MICRO_BATCH_H_

#include <cstdint>
#include <span>
#include <vector>

#include "data_pipeline/token_dataset.h"

namespace breakeven {

// T tokens in B segments; T and B may be 0. The caller owns the memory behind the spans.
struct MicroBatch {
  std::span<int64_t> tokens;     // [T]
  std::span<int64_t> positions;  // [T], restart at 0 in every segment
  std::span<int64_t> targets;    // [T], the next token of the segment; 0 where loss_weight is 0
  std::span<float> loss_weight;  // [T], 1 where the next token is a target token, else 0
  std::vector<int64_t> segment_starts;  // [B+1], first 0, last T
};

int64_t CountTokens(const TokenDataset& dataset, std::span<const int64_t> examples);
// Fills `batch`, whose spans have CountTokens() elements.
void FillMicroBatch(const TokenDataset& dataset, std::span<const int64_t> examples,
                    MicroBatch& batch);

// Leaves out of every segment what stands behind its last row that carries loss, at least the example's
// last token: where attention is causal nothing depends on it. Segments close up, the spans get shorter;
// a segment without loss goes altogether.
void DropTails(MicroBatch& batch);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_MICRO_BATCH_H_
