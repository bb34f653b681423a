// Pure.
#include "trainer/step_bench.h"

#include <gtest/gtest.h>

namespace breakeven {
namespace {

// Counted by hand: 2 layers, hidden 4, 2 heads of 2, 1 key/value head, feed-forward 3, vocabulary 10.
TEST(StepFlopsTest, CountsEveryProductOnce) {
  ModelConfig model;
  model.model_type = "llama";
  model.vocab_size = 10;
  model.hidden_size = 4;
  model.num_layers = 2;
  model.num_heads = 2;
  model.num_kv_heads = 1;
  model.head_dim = 2;
  model.intermediate_size = 3;
  const double attention_in = 4 * (4 + 2 * 2), rest = 4 * 4 + 3 * 4 * 3;
  // 7 tokens of which 2 carry loss: the last layer's rest, and the head, for these 2 only.
  const double weights_and_rows = 7 * (2 * attention_in + rest) + 2 * (rest + 4 * 10);
  EXPECT_DOUBLE_EQ(StepFlops(model, 7, 2, 0), 6 * weights_and_rows);
  // One segment of 7: queries and keys, probabilities and values, each 2·7²·4 in full, half of it
  // causal, three times with backward, in 2 layers.
  EXPECT_DOUBLE_EQ(StepFlops(model, 7, 2, 49) - StepFlops(model, 7, 2, 0),
                   2.0 * 3 * 2 * (2 * 49 * 4) / 2);
}

}  // namespace
}  // namespace breakeven
