// Pure. Whole studies whose truth is known; statistics_simulation does thousands of them.
#include "trainer/study/findings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "tests/support/planted_study.h"

namespace breakeven {
namespace {

VerdictConfig Fast() {
  VerdictConfig config;
  config.resamples = 400;
  config.coverage_studies = 0;
  return config;
}

PlantedTruth Truth(std::array<double, 3> tuned) {
  PlantedTruth truth;
  truth.tuned = tuned;
  return truth;
}

struct Tally {
  int better = 0;
  int worse = 0;
  int covered = 0;
};

Tally Simulate(const PlantedTruth& truth, int studies) {
  Tally tally;
  for (int study = 0; study < studies; ++study) {
    const StudyInput input = PlantStudy(truth, static_cast<uint64_t>(study));
    const ScoreComparer comparer(TableOf(input.test, "acc"), Fast());
    const Comparison headline =
        comparer.Compare(input.arms[input.candidate].columns, input.arms[input.baseline].columns);
    tally.better += headline.verdict == Verdict::kBetter ? 1 : 0;
    tally.worse += headline.verdict == Verdict::kWorse ? 1 : 0;
    tally.covered += headline.deciding.interval.Contains(truth.tuned.back() - truth.prompt) ? 1 : 0;
  }
  return tally;
}

// What is promised, and what 2,000 studies a case must keep in the long form (BREAKEVEN_FULL); of 100 as many fewer as chance
// explains once in 2,000 times.
int NumStudies() { return std::getenv("BREAKEVEN_FULL") != nullptr ? 2000 : 100; }
double ByChance(double rate) { return 3.3 * std::sqrt(rate * (1 - rate) * NumStudies()); }

TEST(PlantedStudyTest, TuningThatHelpsIsSeen) {
  const Tally tally = Simulate(Truth({0.66, 0.72, 0.80}), NumStudies());
  EXPECT_GE(tally.better, 0.8 * NumStudies());
  EXPECT_LE(tally.worse, 0.001 * NumStudies());
  EXPECT_GE(tally.covered, 0.95 * NumStudies() - ByChance(0.95));
}

TEST(PlantedStudyTest, TuningThatDoesNothingIsNotCalledBetter) {
  const Tally tally = Simulate(Truth({0.70, 0.70, 0.70}), NumStudies());
  EXPECT_LE(tally.better + tally.worse, 0.05 * NumStudies() + ByChance(0.05) / 2);
  EXPECT_GE(tally.covered, 0.95 * NumStudies() - ByChance(0.95));
}

TEST(PlantedStudyTest, APromptThatIsBetterStays) {
  const Tally tally = Simulate(Truth({0.55, 0.58, 0.60}), NumStudies());
  EXPECT_LE(tally.better, 0.001 * NumStudies());
  EXPECT_GE(tally.worse, 0.8 * NumStudies());
  EXPECT_GE(tally.covered, 0.95 * NumStudies() - ByChance(0.95));
}

StudyInput FullInput() {
  StudyInput input = PlantStudy(PlantedTruth(), 3);
  CostInput costs;
  costs.prompt_work = {{"prompt search", 12, 600, 300}};
  costs.tuned_work = {{"training", 9, 3600, 1800}};
  costs.prompt.batches = {{10, 1.0}, {10, 1.1}, {10, 0.9}};
  costs.tuned.batches = {{10, 0.4}, {10, 0.41}, {10, 0.39}};
  input.costs = costs;
  input.model = ModelModified{135000000, 135000000, 0.02, 540000000};
  input.num_tuned_tried = 9;
  RegressionSet regression;
  regression.name = "other";
  regression.records = input.test;
  regression.metric = "acc";
  regression.tuned = input.arms[0].columns;
  regression.base = input.arms[1].columns;
  input.regression = regression;
  return input;
}

TEST(FindingsTest, EveryPartIsThere) {
  const StudyInput input = FullInput();
  const StudyFindings findings = Conclude(input, Fast(), {});
  EXPECT_EQ(findings.metric, "acc");
  ASSERT_EQ(findings.arms.size(), 6u);
  EXPECT_FALSE(findings.arms[0].against_baseline.has_value()) << "the baseline";
  EXPECT_EQ(findings.arms[5].against_baseline->difference, findings.headline.difference);
  EXPECT_EQ(findings.headline.adjusted_p_value, findings.headline.p_value) << "planned, alone";
  EXPECT_GT(findings.arms[1].against_baseline->adjusted_p_value,
            findings.arms[1].against_baseline->p_value);
  ASSERT_EQ(findings.equal_data.size(), 1u);
  EXPECT_EQ(findings.equal_data[0].num_examples, 50);
  ASSERT_EQ(findings.curves.size(), 1u);
  EXPECT_EQ(findings.curves[0].role, ArmRole::kTuned);
  EXPECT_EQ(findings.confusions.baseline.at("yes").at(""), 500);
  EXPECT_EQ(findings.confusions.arm.at("yes").at(""), 500);
  EXPECT_TRUE(findings.regression.has_value());
  // Won minus lost documents, weighted by how many seeds: the difference.
  double balance = 0;
  for (const Flip& flip : findings.flips.won) balance += flip.arm_score - flip.baseline_score;
  for (const Flip& flip : findings.flips.lost) balance += flip.arm_score - flip.baseline_score;
  EXPECT_NEAR(balance / 500, findings.headline.difference, 1e-12);

  const SixQuestions& questions = findings.questions;
  EXPECT_EQ(questions.training->tuned.device_seconds, 3600);
  EXPECT_EQ(questions.data.tuned_labels(), 1000);
  EXPECT_EQ(questions.data.prompt_labels(), 200);
  EXPECT_TRUE(questions.data.examples_to_win.has_value());
  EXPECT_EQ(questions.model->num_parameters_changed, 135000000);
  EXPECT_EQ(questions.scope.task.difference, findings.headline.difference);
  EXPECT_GE(questions.potential->prompt_best_dev_score,
            questions.potential->prompt_median_dev_score);
  EXPECT_EQ(questions.time->num_prompts_tried, 12);
  EXPECT_NEAR(questions.time->prompt_query_seconds, 0.1, 1e-12);
}

// Of a metric of which less is better: the best prompt is the one with the least perplexity, in the unit of test's scores.
TEST(FindingsTest, DevScoresAreTurnedRoundAsTestsAre) {
  StudyInput input = PlantStudy(PlantedTruth(), 3);
  input.metric = "word_perplexity";
  for (RecordArm& arm : input.test.arms) {
    arm.loglikelihoods = arm.metrics.at("acc");
    for (double& value : arm.loglikelihoods) value = 8 * (value - 2);
    arm.num_words.assign(arm.loglikelihoods.size(), 4);
  }
  input.prompt_dev_scores = {std::exp(3), std::exp(1), std::exp(2)};
  const StudyFindings findings = Conclude(input, Fast(), {});
  const ImprovementPotential& potential = findings.questions.potential.value();
  EXPECT_NEAR(potential.prompt_best_dev_score, -1, 1e-12);
  EXPECT_NEAR(potential.prompt_median_dev_score, -2, 1e-12);
  EXPECT_NEAR(potential.prompt_worst_dev_score, -3, 1e-12);
  EXPECT_LT(findings.arms[0].score.score, 0) << "the same unit";
}

TEST(FindingsTest, WhatWasNotMeasuredIsAbsent) {
  const StudyFindings findings = Conclude(PlantStudy(PlantedTruth(), 3), Fast(), {});
  EXPECT_FALSE(findings.costs.has_value());
  EXPECT_FALSE(findings.questions.training.has_value());
  EXPECT_FALSE(findings.questions.time.has_value());
  EXPECT_FALSE(findings.questions.model.has_value());
  EXPECT_FALSE(findings.regression.has_value());
}

TEST(FindingsTest, ASingleSeedAndCutPromptsAreSaid) {
  PlantedTruth truth;
  truth.num_seeds = 1;
  StudyInput input = PlantStudy(truth, 1);
  input.test.arms[2].num_truncated = 7;
  EXPECT_THAT(Conclude(input, Fast(), {}).cautions,
              testing::ElementsAre(testing::HasSubstr("One training seed"),
                                   testing::HasSubstr("few-shot 50: 7 prompts")));
}

TEST(LearningCurveTest, TheCrossingLiesBetweenTheSizesThatBracketIt) {
  PlantedTruth truth;
  truth.num_test = 4000;
  truth.seed_deviation = 0.001;
  VerdictConfig config = Fast();
  config.coverage_studies = 30;
  const StudyInput input = PlantStudy(truth, 5);
  const LearningCurve curve = Conclude(input, config, {}).curves.at(0).curve;
  const ExamplesToWin& win = curve.examples_to_win;
  EXPECT_EQ(win.kind, ExamplesToWin::Kind::kWithin);
  // 0.66 at 50 and 0.72 at 200 cross 0.70 at two thirds of the way in log(1 + n).
  EXPECT_NEAR(win.examples, 126, 25);
  EXPECT_TRUE(win.interval.Contains(126)) << win.interval.low << " " << win.interval.high;
  EXPECT_EQ(win.probability_within, 1);
  ASSERT_TRUE(win.measured_coverage.has_value());
  EXPECT_GT(*win.measured_coverage, 0.8);
  EXPECT_EQ(win.first_better_size, 200);
  EXPECT_NEAR(curve.gain_per_doubling, 0.03, 0.005);
  EXPECT_TRUE(curve.gain_interval.Contains(curve.gain_per_doubling));
  ASSERT_TRUE(curve.fit.has_value());
  EXPECT_EQ(curve.fit->degrees_of_freedom, 0);
  EXPECT_FALSE(curve.fit->examples_to_win.has_value()) << "the data say it, no need to extrapolate";
  EXPECT_EQ(curve.points[0].against_baseline.verdict, Verdict::kWorse);
  EXPECT_EQ(curve.fit->predictions.front().num_examples, 50);
  EXPECT_NEAR(curve.fit->predictions.back().num_examples, 3200, 1e-6);
}

TEST(LearningCurveTest, NotWithinTheData) {
  PlantedTruth truth = Truth({0.50, 0.54, 0.57});
  truth.num_test = 2000;
  const StudyInput input = PlantStudy(truth, 6);
  const LearningCurve curve = Conclude(input, Fast(), {}).curves.at(0).curve;
  EXPECT_EQ(curve.examples_to_win.kind, ExamplesToWin::Kind::kNotWithinData);
  EXPECT_TRUE(std::isinf(curve.examples_to_win.examples));
  EXPECT_TRUE(std::isinf(curve.examples_to_win.interval.low));
  EXPECT_EQ(curve.examples_to_win.probability_within, 0);
  EXPECT_FALSE(curve.examples_to_win.first_better_size.has_value());
}

TEST(LearningCurveTest, FromTheStart) {
  PlantedTruth truth = Truth({0.85, 0.88, 0.90});
  const LearningCurve curve = Conclude(PlantStudy(truth, 7), Fast(), {}).curves.at(0).curve;
  EXPECT_EQ(curve.examples_to_win.kind, ExamplesToWin::Kind::kFromTheStart);
  EXPECT_EQ(curve.examples_to_win.examples, 50);
  EXPECT_EQ(curve.examples_to_win.interval.high, 50);
  EXPECT_EQ(curve.examples_to_win.first_better_size, 50);
}

}  // namespace
}  // namespace breakeven
