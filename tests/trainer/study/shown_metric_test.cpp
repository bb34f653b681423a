// Pure. One unit for dev and test: what eval reports, converted, is what the tables hold.
#include "trainer/study/shown_metric.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "trainer/study/study_records.h"

namespace breakeven {
namespace {

double MeanOfTable(const ScoreTable& table) {
  const auto sum = [](const std::vector<double>& v) {
    return std::accumulate(v.begin(), v.end(), 0.0);
  };
  const double size =
      table.sizes.empty() ? static_cast<double>(table.num_documents()) : sum(table.sizes);
  return sum(table.columns.at(0)) / size;
}

TEST(ShownMetricTest, DevAndTestStandInOneUnit) {
  StudyRecords records;
  records.documents.resize(3);
  RecordArm arm;
  arm.arm = "base/plain";
  arm.loglikelihoods = {-8, -3, -20};
  arm.num_words = {4, 1, 7};
  arm.num_bytes = {16, 5, 31};
  arm.briers = {0.2, 1.1, 0.02};
  records.arms = {arm};
  const std::pair<const char*, double> reported[] = {{"word_perplexity", std::exp(31.0 / 12)},
                                                     {"byte_perplexity", std::exp(31.0 / 52)},
                                                     {"bits_per_byte", 31.0 / 52 / std::log(2)},
                                                     {"brier_score", 1.32 / 3}};
  for (const auto& [metric, value] : reported) {
    EXPECT_TRUE(LowerIsBetter(metric));
    EXPECT_NE(ShownName(metric), metric) << "another number needs another name";
    EXPECT_NEAR(ShownValue(metric, {value, 0}).value, MeanOfTable(TableOf(records, metric)), 1e-12)
        << metric;
    // The slope, by a small step.
    const double step = 1e-6;
    const double moved = ShownValue(metric, {value + step, 0}).value;
    EXPECT_NEAR(ShownValue(metric, {value, 1}).standard_error,
                (ShownValue(metric, {value, 0}).value - moved) / step, 1e-4)
        << metric;
  }
}

TEST(ShownMetricTest, WhatIsNotTurnedStaysAsItIs) {
  EXPECT_EQ(ShownName("acc"), "acc");
  EXPECT_EQ(ShownValue("exact_match,strict", {0.5, 0.1}).value, 0.5);
  EXPECT_EQ(ShownValue("exact_match,strict", {0.5, 0.1}).standard_error, 0.1);
}

}  // namespace
}  // namespace breakeven
