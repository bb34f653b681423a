#include "data_pipeline/micro_batch.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "comm/base/error.h"

namespace breakeven {

int64_t CountTokens(const TokenDataset& dataset, std::span<const int64_t> examples) {
  int64_t count = 0;
  for (const int64_t example : examples) count += dataset.example_tokens(example);
  return count;
}

void FillMicroBatch(const TokenDataset& dataset, std::span<const int64_t> examples,
                    MicroBatch& batch) {
  const auto num_tokens = static_cast<size_t>(CountTokens(dataset, examples));
  BE_CHECK(batch.tokens.size() == num_tokens && batch.positions.size() == num_tokens &&
               batch.targets.size() == num_tokens && batch.loss_weight.size() == num_tokens,
           "spans of " + std::to_string(batch.tokens.size()) + " elements for " +
               std::to_string(num_tokens) + " tokens");
  std::fill(batch.targets.begin(), batch.targets.end(), 0);
  std::fill(batch.loss_weight.begin(), batch.loss_weight.end(), 0.0f);
  batch.segment_starts.assign(1, 0);
  size_t start = 0;
  for (const int64_t example : examples) {
    const auto length = static_cast<size_t>(dataset.example_tokens(example));
    const std::span<int64_t> tokens = batch.tokens.subspan(start, length);
    dataset.ReadTokens(example, tokens);
    const std::span<int64_t> positions = batch.positions.subspan(start, length);
    std::iota(positions.begin(), positions.end(), int64_t{0});
    for (const TargetSpan& span : dataset.target_spans(example)) {
      // Row t predicts token t + 1; a target at position 0 has no predictor.
      for (size_t t = std::max<size_t>(span.begin, 1); t < span.end; ++t) {
        batch.targets[start + t - 1] = tokens[t];
        batch.loss_weight[start + t - 1] = 1.0f;
      }
    }
    start += length;
    batch.segment_starts.push_back(static_cast<int64_t>(start));
  }
}

void DropTails(MicroBatch& batch) {
  const std::vector<int64_t> starts = std::exchange(batch.segment_starts, {0});
  size_t kept = 0;
  for (size_t b = 0; b + 1 < starts.size(); ++b) {
    const auto begin = static_cast<size_t>(starts[b]);
    auto end = static_cast<size_t>(starts[b + 1]);
    while (end > begin && batch.loss_weight[end - 1] == 0) --end;
    if (end == begin) continue;
    const auto close_up = [&](auto values) {
      std::copy(values.begin() + begin, values.begin() + end, values.begin() + kept);
    };
    close_up(batch.tokens);
    close_up(batch.positions);
    close_up(batch.targets);
    close_up(batch.loss_weight);
    kept += end - begin;
    batch.segment_starts.push_back(static_cast<int64_t>(kept));
  }
  batch.tokens = batch.tokens.first(kept);
  batch.positions = batch.positions.first(kept);
  batch.targets = batch.targets.first(kept);
  batch.loss_weight = batch.loss_weight.first(kept);
}

}  // namespace breakeven
