// Pure.
#include "trainer/prompt_eval/text_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace breakeven {
namespace {

using ::testing::ElementsAre;

TEST(TextMetricsTest, SquadWordsLeaveOutArticlesPunctuationAndCase) {
  EXPECT_THAT(SquadWords("  The cat's  an Éclair, a-the\tTheme."),
              ElementsAre("cats", "éclair", "athe", "theme"));
}

TEST(TextMetricsTest, F1CountsCommonWordsWithTheirMultiplicity) {
  EXPECT_DOUBLE_EQ(SquadF1("The red red fox", "a red fox"), 2 * (2.0 / 3) * 1 / (2.0 / 3 + 1));
  EXPECT_DOUBLE_EQ(SquadF1("fox", "hare"), 0);
  EXPECT_DOUBLE_EQ(SquadF1("the.", "an"), 1);
  EXPECT_DOUBLE_EQ(SquadF1("", "fox"), 0);
}

TEST(TextMetricsTest, RougeLIsTheLongestCommonSubsequence) {
  // In common: the cat on mat.
  EXPECT_DOUBLE_EQ(RougeL("the cat sat on the mat", "The cat lay, on a mat!"), 4.0 / 6);
  EXPECT_DOUBLE_EQ(RougeL("a b c d", "d c b a"), 0.25);
  EXPECT_DOUBLE_EQ(RougeL("same-words 12", "same words 12"), 1);
  EXPECT_DOUBLE_EQ(RougeL("두루미", "두루미"), 0);
  EXPECT_DOUBLE_EQ(RougeL("", "x"), 0);
}

}  // namespace
}  // namespace breakeven
