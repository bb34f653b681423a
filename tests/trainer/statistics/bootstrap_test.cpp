// Pure.
#include "trainer/statistics/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace breakeven {
namespace {

using Columns = std::vector<std::vector<double>>;

Columns Wave(size_t systems, size_t documents) {
  Columns columns(systems);
  for (size_t s = 0; s < systems; ++s) {
    for (size_t i = 0; i < documents; ++i) {
      columns[s].push_back(std::fmod(0.37 * static_cast<double>((i + 1) * (s + 2)), 1.0));
    }
  }
  return columns;
}

TEST(BootstrapTest, OneDrawServesAllSystems) {
  Columns columns = Wave(2, 37);
  columns[1] = columns[0];
  const ResampledMeans resampled = BootstrapMeans(MakeUnits(columns), {200, 3});
  for (size_t b = 0; b < resampled.num_resamples(); ++b) {
    ASSERT_EQ(resampled.at(b, 0), resampled.at(b, 1)) << b;
  }
}

TEST(BootstrapTest, AResampleDependsOnSeedAndNumberOnly) {
  const Units units = MakeUnits(Wave(1, 50));
  const ResampledMeans few = BootstrapMeans(units, {10, 5});
  const ResampledMeans many = BootstrapMeans(units, {100, 5});
  const ResampledMeans other = BootstrapMeans(units, {10, 6});
  int equal = 0;
  for (size_t b = 0; b < 10; ++b) {
    EXPECT_EQ(few.at(b, 0), many.at(b, 0));
    equal += few.at(b, 0) == other.at(b, 0) ? 1 : 0;
  }
  EXPECT_LT(equal, 3);
}

TEST(BootstrapTest, ADrawnDataSetIsTheResampleOfThatNumber) {
  const Units units = MakeUnits(Wave(3, 23), {}, {});
  const BootstrapOptions options{8, 9};
  const ResampledMeans resampled = BootstrapMeans(units, options);
  for (int64_t b = 0; b < 8; ++b) {
    const std::vector<double> means = Means(ResampleUnits(units, options, b));
    for (size_t s = 0; s < 3; ++s) {
      EXPECT_NEAR(means[s], resampled.at(static_cast<size_t>(b), s), 1e-15);
    }
  }
}

TEST(BootstrapTest, EveryUnitIsDrawnEquallyOften) {
  constexpr size_t kUnits = 7;
  Columns one_hot(kUnits, std::vector<double>(kUnits, 0.0));
  for (size_t i = 0; i < kUnits; ++i) one_hot[i][i] = 1;
  const ResampledMeans resampled = BootstrapMeans(MakeUnits(one_hot), {20000, 1});
  for (size_t s = 0; s < kUnits; ++s) {
    double mean = 0;
    for (size_t b = 0; b < 20000; ++b) mean += resampled.at(b, s) / 20000;
    // Standard error √(1/7·6/7/7/20000) = 0.00094.
    EXPECT_NEAR(mean, 1.0 / kUnits, 0.004) << s;
  }
}

TEST(BootstrapTest, QuantilesReachIntoInfinity) {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<double> sorted = {1, 2, 3, infinity, infinity};
  EXPECT_EQ(SortedQuantile(sorted, 0), 1);
  EXPECT_EQ(SortedQuantile(sorted, 0.375), 2.5);
  EXPECT_EQ(SortedQuantile(sorted, 0.9), infinity);
  EXPECT_EQ(SortedQuantile(sorted, 0.6), infinity) << "between 3 and never is never";
}

TEST(BootstrapTest, BcaOfOneValueIsThatValue) {
  const std::vector<double> same(100, 0.25);
  const Interval interval = BcaInterval(same, 0.25, same, 0.95);
  EXPECT_EQ(interval.low, 0.25);
  EXPECT_EQ(interval.high, 0.25);
}

TEST(BootstrapTest, BcaWhoseEstimateLiesOutsideTheDistributionIsItsEnd) {
  // All resamples lie above the estimate: the bias correction is infinite, the interval still two numbers.
  std::vector<double> distribution;
  for (int i = 0; i < 100; ++i) distribution.push_back(1 + i);
  const Interval interval = BcaInterval(distribution, 0.0, std::vector<double>{0, 1, 2}, 0.95);
  EXPECT_FALSE(std::isnan(interval.low));
  EXPECT_FALSE(std::isnan(interval.high));
}

TEST(BootstrapTest, HierarchicalMeansDrawReplicatesToo) {
  // Three systems that are 0, 1, 2 on every document: the spread is the replicates'.
  const Columns columns = {{0, 0}, {1, 1}, {2, 2}};
  const std::vector<size_t> all = {0, 1, 2};
  const ResampledMeans resampled = BootstrapMeans(MakeUnits(columns), {20000, 1});
  const std::vector<double> means = HierarchicalMeans(resampled, all, 1);
  double mean = 0, squares = 0;
  for (double value : means) mean += value / 20000;
  for (double value : means) squares += (value - mean) * (value - mean) / 20000;
  EXPECT_NEAR(mean, 1, 0.02);
  EXPECT_NEAR(squares, 2.0 / 3 / 3, 0.01);
}

TEST(BootstrapTest, SimultaneousCriticalValueGrowsWithUnrelatedComparisons) {
  const Columns columns = Wave(6, 400);
  const Units units = MakeUnits(columns);
  const ResampledMeans resampled = BootstrapMeans(units, {4000, 2});
  std::vector<std::vector<double>> differences;
  std::vector<double> estimates, errors;
  const auto critical = [&](size_t count) {
    differences.clear();
    estimates.clear();
    errors.clear();
    for (size_t s = 0; s < count; ++s) {
      std::vector<double> coefficients(6, 0.0);
      coefficients[s] = 1;
      const MeanEstimate mean = EstimateMean(Combine(units, coefficients), SmallSample::kPlain);
      differences.push_back(CombineResampled(resampled, coefficients));
      estimates.push_back(mean.value);
      errors.push_back(mean.standard_error);
    }
    return MaxTCriticalValue(differences, estimates, errors, 0.95);
  };
  EXPECT_NEAR(critical(1), 1.96, 0.1);
  EXPECT_GT(critical(6), 2.3);
  EXPECT_LT(critical(6), 2.75);  // 2.64 by Bonferroni
  EXPECT_EQ(critical(0), 0);
}

}  // namespace
}  // namespace breakeven
