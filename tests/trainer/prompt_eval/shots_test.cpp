// Pure.
#include "trainer/prompt_eval/shots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "comm/base/error.h"

namespace breakeven {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

PromptConfig Prompt(const std::string& sampler, int64_t count, int64_t seed = 1234) {
  PromptConfig prompt;
  prompt.name = "v";
  prompt.fewshot_sampler = sampler;
  prompt.num_fewshot = count;
  prompt.fewshot_seed = seed;
  return prompt;
}

bool Never(int64_t, int64_t) { return false; }

TEST(ShotsTest, FirstNTakesThePoolsOrder) {
  const auto shots = DrawShots(Prompt("first_n", 3), 10, 2, Never);
  EXPECT_THAT(shots, ElementsAre(ElementsAre(0, 1, 2), ElementsAre(0, 1, 2)));
}

TEST(ShotsTest, FixedIsOneSetForAllAndChangesWithTheSeed) {
  const auto shots = DrawShots(Prompt("fixed", 4), 1000, 3, Never);
  EXPECT_EQ(shots[0], shots[1]);
  EXPECT_EQ(shots[0], shots[2]);
  EXPECT_EQ(std::set(shots[0].begin(), shots[0].end()).size(), 4U);
  EXPECT_NE(shots[0], DrawShots(Prompt("fixed", 4, 99), 1000, 1, Never)[0]);
  // More shots go on where fewer ended: sets are nested.
  const auto more = DrawShots(Prompt("fixed", 6), 1000, 1, Never);
  EXPECT_TRUE(std::equal(shots[0].begin(), shots[0].end(), more[0].begin()));
}

TEST(ShotsTest, PerDocAdvancesDocumentByDocument) {
  const auto shots = DrawShots(Prompt("per_doc", 5), 1000, 3, Never);
  EXPECT_THAT(shots,
              ElementsAre(ElementsAre(989, 796, 451, 119, 7), ElementsAre(92, 932, 965, 961, 826),
                          ElementsAre(596, 35, 687, 709, 85)));
}

TEST(ShotsTest, TheDocumentItselfIsNeverItsShot) {
  const auto same = [](int64_t shot, int64_t document) { return shot == document; };
  for (const char* sampler : {"first_n", "fixed", "per_doc"}) {
    const auto shots = DrawShots(Prompt(sampler, 3), 5, 5, same);
    for (int64_t document = 0; document < 5; ++document) {
      const std::set<int64_t> distinct(shots[document].begin(), shots[document].end());
      EXPECT_EQ(distinct.size(), 3U) << sampler << ", document " << document;
      EXPECT_EQ(distinct.count(document), 0U) << sampler << ", document " << document;
    }
  }
}

TEST(ShotsTest, APoolThatIsTooSmallNamesTheVariant) {
  for (const int64_t pool : {0, 2}) {
    try {
      DrawShots(Prompt("fixed", 3), pool, 1, Never);
      FAIL() << "no error for a pool of " << pool;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_THAT(error.what(), HasSubstr("variant 'v': num_fewshot is 3"));
    }
  }
  // Three entries, of which one is the document: two remain.
  const auto first = [](int64_t shot, int64_t) { return shot == 0; };
  EXPECT_THROW(DrawShots(Prompt("fixed", 3), 3, 1, first), Error);
}

TEST(ShotsTest, BalancedShotsTakeTurnsBetweenAnswers) {
  ShotTexts texts;
  for (int i = 0; i < 40; ++i) texts.labels.push_back(i < 34 ? "often" : i < 37 ? "rare" : "few");
  const auto shots = DrawShots(Prompt("balanced", 6), 40, 2, Never, texts);
  EXPECT_EQ(shots[0], shots[1]);
  std::map<std::string, int> counts;
  for (const int64_t shot : shots[0]) ++counts[texts.labels[static_cast<size_t>(shot)]];
  EXPECT_EQ(counts, (std::map<std::string, int>{{"few", 2}, {"often", 2}, {"rare", 2}}));
  EXPECT_NE(shots[0], DrawShots(Prompt("balanced", 6, 5), 40, 1, Never, texts)[0]);
}

TEST(ShotsTest, NearestShowsTheMostAlikeLast) {
  ShotTexts texts;
  texts.questions = {"a red fox", "blue whales sing", "the red fox runs", "green", "a dog runs"};
  texts.asked = {"Red fox runs!", "whales"};
  const auto shots = DrawShots(Prompt("nearest", 2), 5, 2, Never, texts);
  EXPECT_THAT(shots[0], ElementsAre(0, 2));
  // Nothing else has a word in common: the first of equals, behind it the one that has.
  EXPECT_THAT(shots[1], ElementsAre(0, 1));
  const auto itself = [](int64_t shot, int64_t document) { return document == 0 && shot == 2; };
  EXPECT_THAT(DrawShots(Prompt("nearest", 1), 5, 1, itself, texts)[0], ElementsAre(0));
}

TEST(ShotsTest, ASpareDrawLeavesTheDocumentOut) {
  const auto plain = DrawShots(Prompt("per_doc_spare", 3), 20, 2, Never);
  const auto itself = [&](int64_t shot, int64_t document) {
    return document == 0 && shot == plain[0][0];
  };
  const auto shots = DrawShots(Prompt("per_doc_spare", 3), 20, 2, itself);
  EXPECT_EQ(shots[0].size(), 3U);
  EXPECT_EQ(shots[0][0], plain[0][1]);
  EXPECT_EQ(shots[1], plain[1]) << "the draw goes on alike";
}

}  // namespace
}  // namespace breakeven
