// Pure.
#include "trainer/memory_estimate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace breakeven {
namespace {

// As small as the formula can be checked by hand.
ModelConfig Config() {
  return ParseModelConfig(R"({"model_type": "llama", "vocab_size": 1000, "hidden_size": 32,
      "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
      "num_key_value_heads": 2, "max_position_embeddings": 64, "tie_word_embeddings": true})",
                          "test");
}

int64_t Term(const MemoryEstimate& estimate, const std::string& start) {
  for (const MemoryTerm& term : estimate.terms) {
    if (term.what.starts_with(start)) return term.bytes;
  }
  return 0;
}

MemoryShape Shape() {
  MemoryShape shape;
  shape.training = {.tokens = 100, .loss_rows = 10};
  shape.world_size = 4;
  return shape;
}

TEST(MemoryEstimate, BuffersAreSixteenBytesAParameterOrLess) {
  const int64_t size = Config().num_parameters();
  MemoryShape shape = Shape();
  const MemoryEstimate whole = EstimateMemory(Config(), shape);
  EXPECT_EQ(Term(whole, "weights"), 4 * size);
  EXPECT_EQ(Term(whole, "gradients"), 4 * size);
  EXPECT_EQ(Term(whole, "moments"), 8 * size);
  shape.shard = true;
  const MemoryEstimate sharded = EstimateMemory(Config(), shape);
  EXPECT_EQ(whole.total() - sharded.total(), 8 * size - 2 * size) << "three of four ranks' moments";
}

TEST(MemoryEstimate, OneCopyOfTheWeightsCountsOnceInTheNode) {
  const int64_t size = Config().num_parameters();
  MemoryShape shape = Shape();
  shape.local_size = 4;
  shape.shares_windows = shape.shard = true;
  const MemoryEstimate copies = EstimateMemory(Config(), shape);
  shape.shares_weights = true;
  const MemoryEstimate one = EstimateMemory(Config(), shape);
  EXPECT_EQ(copies.total() - one.total(), 3 * size) << "nothing is gathered";
  const auto of_node = [](const MemoryEstimate& estimate) {
    return 4 * (estimate.total() - estimate.mapped_from_others);
  };
  EXPECT_EQ(of_node(copies) - of_node(one), 3 * 4 * size) << "three copies less";
}

TEST(MemoryEstimate, CopiesOfACheckpointAreOnePartARank) {
  const int64_t size = Config().num_parameters();
  MemoryShape shape = Shape();
  shape.checkpoint_copies = true;
  EXPECT_EQ(Term(EstimateMemory(Config(), shape), "copy"), 4 * size) << "of four: the weights";
  shape.world_size = 2;
  EXPECT_EQ(Term(EstimateMemory(Config(), shape), "copy"), 6 * size / 4 * 4);
  shape.shard = true;
  EXPECT_EQ(Term(EstimateMemory(Config(), shape), "copy"), 8 * size);
}

TEST(MemoryEstimate, RankZeroCopiesAllOfACheckpointThatItWritesAlone) {
  const int64_t size = Config().num_parameters();
  MemoryShape shape = Shape();
  shape.shares_folder = false;
  EXPECT_EQ(Term(EstimateMemory(Config(), shape), "copy"), 0) << "it holds all and waits";
  shape.checkpoint_copies = true;
  EXPECT_EQ(Term(EstimateMemory(Config(), shape), "copy"), 12 * size);
  shape.checkpoint_copies = false;
  shape.shard = true;
  EXPECT_EQ(Term(EstimateMemory(Config(), shape), "copy"), 12 * size)
      << "others' moments come to it";
}

TEST(MemoryEstimate, ActivationsByHand) {
  // Stream 4·(32+2) = 136 and normed 128, twice; q, k, v 64 columns, attended 32, 4 log-sum-exps: 400;
  // gate, up, activated 144 columns: 576. In the last block 100 rows reach attention, 10 go on.
  const int64_t block = 100 * (2 * 136 + 2 * 128 + 400 + 576);
  const int64_t last = 100 * (136 + 128 + 400) + 10 * (136 + 128 + 576 + 136 + 128);
  const int64_t last_norm = 10 * (136 + 128);
  EXPECT_EQ(Term(EstimateMemory(Config(), Shape()), "activations"), 2 * block + last + last_norm);
}

TEST(MemoryEstimate, CheckpointingSavesWhatItRecomputes) {
  MemoryShape shape = Shape();
  const int64_t none = Term(EstimateMemory(Config(), shape), "activations");
  shape.activation_checkpointing = "selective";
  const int64_t selective = Term(EstimateMemory(Config(), shape), "activations");
  EXPECT_EQ(none - selective, 2 * 100 * (2 * 128 + 192) + 100 * 128 + 10 * (128 + 192));
  shape.activation_checkpointing = "full";
  EXPECT_EQ(Term(EstimateMemory(Config(), shape), "activations"), 3 * 100 * 136 + 10 * 264);
}

TEST(MemoryEstimate, OthersPagesAreNamedAndTheTextHasEveryTerm) {
  MemoryShape shape = Shape();
  shape.shares_windows = true;
  shape.local_size = 4;
  shape.validation = {.tokens = 5000, .loss_rows = 5000};
  const MemoryEstimate estimate = EstimateMemory(Config(), shape);
  EXPECT_EQ(estimate.mapped_from_others, 3 * Config().num_parameters());
  const std::string text = FormatMemory(estimate);
  for (const MemoryTerm& term : estimate.terms) EXPECT_THAT(text, testing::HasSubstr(term.what));
  EXPECT_GT(Term(estimate, "at work"), 256 * 1000 * 4) << "a chunk of validation's logits";
}

}  // namespace
}  // namespace breakeven
