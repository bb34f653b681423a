// Pure.
#include "trainer/prompt_eval/prompt_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "comm/base/error.h"

namespace breakeven {
namespace {

using ::testing::HasSubstr;

std::vector<PromptConfig> Variants(int count) {
  std::vector<PromptConfig> variants(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) variants[static_cast<size_t>(i)].name = "v" + std::to_string(i);
  return variants;
}

TEST(PromptSearchTest, ShotSetsAreRandomRestartsOfVariantsThatDraw) {
  std::vector<PromptConfig> variants = Variants(3);
  variants[1].num_fewshot = 4;
  variants[1].fewshot_seed = 10;
  variants[2].num_fewshot = 4;
  variants[2].fewshot_sampler = "first_n";
  PromptSearchConfig config;
  config.shot_sets = 3;
  const std::vector<PromptConfig> candidates = SearchCandidates(config, variants);
  ASSERT_EQ(candidates.size(), 5U);
  EXPECT_EQ(candidates[2].name, "v1-set2");
  EXPECT_EQ(candidates[2].fewshot_seed, 11);
  EXPECT_EQ(candidates[3].fewshot_seed, 12);
  EXPECT_EQ(candidates[4].name, "v2");
}

TEST(PromptSearchTest, ThePlanHalvesWithinTheBudget) {
  PromptSearchConfig config;
  config.budget_documents = 1000;
  config.keep = 2;
  int64_t spent = 0;
  int64_t end = 0;
  for (const SearchRung& rung : SearchPlan(config, 16, 500)) {
    EXPECT_EQ(rung.begin, end);
    EXPECT_GT(rung.end, rung.begin);
    end = rung.end;
    spent += rung.num_candidates * (rung.end - rung.begin);
  }
  EXPECT_LE(spent, 1000);
  EXPECT_GT(spent, 900);
  EXPECT_EQ(SearchPlan(config, 16, 500).size(), 3U);
  EXPECT_EQ(SearchPlan(config, 16, 30).back().end, 30) << "no more documents than there are";
  EXPECT_TRUE(SearchPlan(config, 2, 500).empty());
  try {
    config.budget_documents = 40;
    SearchPlan(config, 16, 500);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("expected at least 48"));
  }
}

TEST(PromptSearchTest, KeepsTheBestAndAsksThemMost) {
  PromptSearchConfig config;
  config.budget_documents = 640;
  config.keep = 1;
  std::map<std::string, int64_t> asked;
  const auto score = [&](const PromptConfig& candidate, int64_t begin, int64_t end) {
    asked[candidate.name] += end - begin;
    if (candidate.name == "v0") return std::nan("");
    return candidate.name == "v5" ? 0.9 : 0.5;
  };
  const PromptSearchResult result = SearchPrompts(config, Variants(8), 400, false, score);
  ASSERT_EQ(result.kept.size(), 1U);
  EXPECT_EQ(result.kept[0].name, "v5");
  EXPECT_EQ(result.num_tried, 8);
  EXPECT_GT(asked["v5"], 3 * asked["v7"]);
  EXPECT_EQ(asked["v0"], asked["v7"]) << "not a number: out after the first rung";
  int64_t total = 0;
  for (const auto& [name, count] : asked) total += count;
  EXPECT_EQ(result.num_documents, total);
  EXPECT_LE(total, 640);
  // Less is better: all others tie, the first of them stays.
  EXPECT_EQ(SearchPrompts(config, Variants(8), 400, true, score).kept[0].name, "v1");
}

TEST(PromptSearchTest, OnlyMeansOverDocumentsCanChoose) {
  const PromptSearchConfig config;
  TaskConfig task;
  task.output_type = "generate_until";
  config.Validate(task, "exact_match,strict", Variants(9));
  config.Validate(task, "f1", Variants(9));
  EXPECT_THROW(config.Validate(task, "word_perplexity", Variants(9)), Error);
  EXPECT_THROW(config.Validate(task, "mcc", Variants(9)), Error);
  task.output_type = "multiple_choice";
  EXPECT_THROW(config.Validate(task, "f1", Variants(9)), Error);
}

TEST(PromptSearchTest, TwoCandidatesOfOneNameAreRefused) {
  PromptSearchConfig config;
  std::vector<PromptConfig> variants = Variants(2);
  variants[0].num_fewshot = 2;
  variants[0].fewshot_sampler = "balanced";
  config.Validate({}, "acc", variants);
  variants[1].name = variants[0].name + "-set2";
  EXPECT_THROW(config.Validate({}, "acc", variants), Error);
}

TEST(PromptSearchTest, EveryDocumentStandsOnceInTheOrder) {
  PromptSearchConfig config;
  const std::vector<int64_t> order = SearchOrder(config, 50);
  EXPECT_EQ(std::set(order.begin(), order.end()).size(), 50U);
  EXPECT_EQ(order, SearchOrder(config, 50));
  config.seed = 2;
  EXPECT_NE(order, SearchOrder(config, 50));
}

}  // namespace
}  // namespace breakeven
