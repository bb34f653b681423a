#include "trainer/model/kv_cache.h"

#include <gtest/gtest.h>

#include <functional>

#include "comm/base/error.h"
#include "tests/trainer/model/model_fixture.h"
#include "trainer/autograd/aten_only.h"

namespace breakeven {
namespace {

using namespace model_fixture;

// The same sums in another order: see packed_test.cpp. And of bfloat16, in which caches hold rotated keys
// that the full pass never rounds.
constexpr double kTolerance = 1e-5;
constexpr double kRoundedTolerance = 0.02;

class KvCacheTest : public testing::TestWithParam<std::string> {
 protected:
  KvCacheTest() : built_(BuildRandom(GetParam())) {}

  at::Tensor Full(const std::vector<int64_t>& tokens) {
    const c10::NoGradGuard no_gradients;
    return built_.model->HiddenStates(Pack({tokens}));
  }

  // Tokens behind what each sequence holds; the rows of new tokens are compared with `texts`, the
  // whole texts of the sequences after this call.
  void Go(KvCache& cache, const std::vector<std::vector<int64_t>>& added,
          const std::vector<std::vector<int64_t>>& texts, const std::string& what) {
    std::vector<int64_t> first;
    for (int64_t b = 0; b < cache.num_sequences(); ++b) first.push_back(cache.length(b));
    const PackedInput input = Pack(added, first);
    const at::Tensor hidden = built_.model->HiddenStates(input, cache);
    EXPECT_FALSE(hidden.requires_grad());
    for (size_t b = 0; b < texts.size(); ++b) {
      EXPECT_EQ(cache.length(static_cast<int64_t>(b)), static_cast<int64_t>(texts[b].size()))
          << what << ", sequence " << b;
      if (added[b].empty()) continue;
      const at::Tensor rows = hidden.slice(0, input.segment_starts[b], input.segment_starts[b + 1]);
      EXPECT_EQ(rows.scalar_type(), built_.storage->product_type);
      EXPECT_LE(RelativeDistance(rows, Full(texts[b]).slice(0, first[b])), tolerance_)
          << what << ", sequence " << b;
    }
  }

  // Prompts, then a token each, then several.
  void GoOn();
  // Trunk, questions and choices of a scoring batch.
  void GoDownATree();
  void GoOnBehindATrunk();
  void Round() {
    built_ = BuildRounded(GetParam(), built_);
    tolerance_ = kRoundedTolerance;
  }
  KvCache MakeCache(int64_t num_sequences, int64_t max_tokens) {
    return {built_.model->config(), num_sequences, max_tokens,
            built_.model->HeadOfProducts().options()};
  }

  Built built_;
  double tolerance_ = kTolerance;
};

void Append(std::vector<int64_t>& text, const std::vector<int64_t>& added) {
  text.insert(text.end(), added.begin(), added.end());
}

void KvCacheTest::GoOn() {
  KvCache cache = MakeCache(4, 20);
  std::vector<std::vector<int64_t>> texts = {Text(4, 1), Text(1, 2), Text(4, 3), Text(9, 4)};
  Go(cache, texts, texts, "prefill");
  // One token each, sequence 1 finished; then several at once, unevenly.
  const std::vector<std::vector<std::vector<int64_t>>> steps = {
      {{7}, {}, {8}, {9}}, {{1}, {}, {60}, {}}, {{5, 6, 7}, {4, 4}, {3, 2, 1}, {0}}};
  for (size_t step = 0; step < steps.size(); ++step) {
    for (size_t b = 0; b < texts.size(); ++b) Append(texts[b], steps[step][b]);
    Go(cache, steps[step], texts, "step " + std::to_string(step));
  }
}

TEST_P(KvCacheTest, ContinuationEqualsTheFullForward) { GoOn(); }

TEST_P(KvCacheTest, InBFloat16ItDoesSoToItsRounding) {
  Round();
  GoOn();
  GoDownATree();
  GoOnBehindATrunk();
}

TEST_P(KvCacheTest, InBFloat16TheWayOfGpus) {
  Round();
  const AtenOnly only;
  GoOn();
  GoDownATree();
  GoOnBehindATrunk();
}

void KvCacheTest::GoDownATree() {
  const ModelConfig& config = built_.model->config();
  const std::vector<int64_t> trunk_text = Text(5, 1);
  KvCache trunk = MakeCache(1, 5);
  Go(trunk, {trunk_text}, {trunk_text}, "trunk");
  std::vector<std::vector<int64_t>> questions = {Text(3, 2), Text(1, 3), Text(4, 4)};
  std::vector<std::vector<int64_t>> texts(3, trunk_text);
  for (size_t b = 0; b < 3; ++b) Append(texts[b], questions[b]);
  KvCache prefixes(config, trunk, {0, 0, 0}, 4);
  Go(prefixes, questions, texts, "questions");
  const std::vector<std::vector<int64_t>> choices = {{7}, {8, 9, 10}, {}, {1, 2}};
  std::vector<std::vector<int64_t>> wholes = {texts[0], texts[0], texts[1], texts[2]};
  for (size_t b = 0; b < 4; ++b) Append(wholes[b], choices[b]);
  KvCache branches(config, prefixes, {0, 0, 1, 2}, 3);
  Go(branches, choices, wholes, "choices");
  EXPECT_EQ(prefixes.length(0), 8) << "parents are only read";
  EXPECT_EQ(branches.length(3), 5 + 4 + 2);
}

// Prompts behind one that all begin with, then a token each, as generation does; one ends early, and at last several
// tokens at once.
void KvCacheTest::GoOnBehindATrunk() {
  const std::vector<int64_t> trunk_text = Text(6, 1);
  KvCache trunk = MakeCache(1, 6);
  Go(trunk, {trunk_text}, {trunk_text}, "trunk");
  KvCache cache(built_.model->config(), trunk, {0, 0, 0, 0}, 12);
  std::vector<std::vector<int64_t>> texts(4, trunk_text);
  const std::vector<std::vector<std::vector<int64_t>>> steps = {
      {Text(4, 2), Text(4, 3), Text(1, 4), Text(7, 5)},  // the first two as one batch
      {{7}, {8}, {9}, {1}},
      {{2}, {3}, {}, {4}},
      {{5, 6, 7}, {1, 2, 3}, {}, {9, 8}}};
  for (size_t step = 0; step < steps.size(); ++step) {
    for (size_t b = 0; b < texts.size(); ++b) Append(texts[b], steps[step][b]);
    Go(cache, steps[step], texts, "step " + std::to_string(step) + " behind a trunk");
  }
  EXPECT_EQ(trunk.length(0), 6);
}

TEST_P(KvCacheTest, ATreeOfSharedPromptsEqualsTheFullForward) { GoDownATree(); }
TEST_P(KvCacheTest, StepsBehindASharedPromptEqualTheFullForward) { GoOnBehindATrunk(); }

TEST_P(KvCacheTest, ATreeOfSharedPromptsTheWayOfGpus) {
  const AtenOnly only;
  GoDownATree();
  GoOnBehindATrunk();
}

TEST_P(KvCacheTest, RefusesWhatDoesNotFit) {
  KvCache cache = MakeCache(1, 4);
  const auto kind_of = [](const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::kUsage;
  };
  EXPECT_EQ(kind_of([&] { built_.model->HiddenStates(Pack({Text(5, 1)}), cache); }),
            ErrorKind::kInternal)
      << "more tokens than room";
  EXPECT_EQ(kind_of([&] { built_.model->HiddenStates(Pack({Text(2, 1)}, {1}), cache); }),
            ErrorKind::kInternal)
      << "a position behind a gap";
  EXPECT_EQ(kind_of([&] {
              built_.model->HiddenStates(Pack({{1}, {2}}), cache);
            }),
            ErrorKind::kInternal)
      << "two segments for one sequence";
  EXPECT_EQ(cache.length(0), 0);
}

INSTANTIATE_TEST_SUITE_P(Families, KvCacheTest,
                         testing::Values(Gpt2Json(), LlamaJson(), Qwen2Json()),
                         [](const auto& chosen) {
                           return ParseModelConfig(chosen.param, "config.json").model_type;
                         });

}  // namespace
}  // namespace breakeven
