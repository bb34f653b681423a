// Pure.
#include "trainer/study/study_progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace breakeven {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(StudyProgressTest, SaysThePlanWhatRunsAndTheScoresSoFar) {
  StudyProgress progress(8, /*enabled=*/false);
  progress.Expect(800);
  progress.Begin("scoring dev");
  EXPECT_THAT(progress.Lines(),
              ElementsAre("study [....................]   0 % 0 of 8 done", "now scoring dev"));
  progress.Skip(100);
  progress.Done("base/plain on dev", 100, "");
  progress.Baseline(0.5);
  progress.Begin("training n64");
  EXPECT_THAT(progress.Lines(),
              ElementsAre(HasSubstr("study [#####...............]  25 % 2 of 8 done, about "),
                          "dev: best prompt 0.500; now training n64"));
  progress.Tuned(0.75);
  EXPECT_THAT(progress.Lines()[1], HasSubstr("best prompt 0.500, tuned 0.750; now"));
}

TEST(StudyProgressTest, AtTheEndNothingIsLeft) {
  StudyProgress progress(1, /*enabled=*/false);
  progress.Expect(100);
  progress.Done("base/plain on dev", 100, "");
  EXPECT_THAT(progress.Lines()[0], HasSubstr("100 % 1 of 1 done"));
  EXPECT_THAT(progress.Lines()[0], Not(HasSubstr("left")));
}

}  // namespace
}  // namespace breakeven
