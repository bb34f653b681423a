// A copied batch says what a wrapped one says, to the loss alike.
#include "trainer/device_batch.h"

#include <gtest/gtest.h>

#include <vector>

namespace breakeven {
namespace {

struct Memory {
  std::vector<int64_t> tokens = {5, 6, 7, 8, 9}, positions = {0, 1, 2, 0, 1};
  std::vector<int64_t> targets = {0, 7, 1, 9, 0};
  std::vector<float> weights = {0, 1, 0, 0.5f, 0};
  MicroBatch Batch() { return {tokens, positions, targets, weights, {0, 3, 5}}; }
};

TEST(CopyBatch, HoldsWhatTheHostHas) {
  Memory memory;
  const BatchTensors wrapped = WrapBatch(memory.Batch());
  const BatchTensors copied = CopyBatch(memory.Batch(), at::kCPU);
  EXPECT_TRUE(copied.has_targets);
  EXPECT_TRUE(at::equal(copied.input.tokens_T, wrapped.input.tokens_T));
  EXPECT_TRUE(at::equal(copied.input.positions_T, wrapped.input.positions_T));
  EXPECT_EQ(copied.input.segment_starts, wrapped.input.segment_starts);
  EXPECT_TRUE(at::equal(copied.input.starts_B, at::tensor({0, 3, 5}, at::kInt)));
  const at::Tensor rows = wrapped.loss_weight_T.nonzero().squeeze(1);
  EXPECT_TRUE(at::equal(copied.input.rows_R, rows));
  EXPECT_TRUE(at::equal(copied.targets_T, wrapped.targets_T.index_select(0, rows)));
  EXPECT_TRUE(at::equal(copied.loss_weight_T, wrapped.loss_weight_T.index_select(0, rows)));
}

TEST(CopyBatch, TheBatchMayBeFilledAgainAtOnce) {
  Memory memory;
  const BatchTensors copied = CopyBatch(memory.Batch(), at::kCPU);
  memory.tokens.assign(5, -1);
  EXPECT_TRUE(at::equal(copied.input.tokens_T, at::tensor({5, 6, 7, 8, 9}, at::kLong)));
}

TEST(CopyBatch, OfNothing) {
  MicroBatch nothing{{}, {}, {}, {}, {0}};
  const BatchTensors copied = CopyBatch(nothing, at::kCPU);
  EXPECT_FALSE(copied.has_targets);
  EXPECT_EQ(copied.input.tokens_T.numel(), 0);
  EXPECT_EQ(copied.input.rows_R.numel(), 0);
}

}  // namespace
}  // namespace breakeven
