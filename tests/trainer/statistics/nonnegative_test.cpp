// Pure.
#include "trainer/statistics/nonnegative.h"

#include <gtest/gtest.h>

namespace breakeven {
namespace {

using Rows = std::vector<std::vector<double>>;

TEST(NonNegativeTest, FindsWhatWasPlantedOverScalesFarApart) {
  Rows rows;
  std::vector<double> b;
  for (const double bytes : {1e3, 1e5, 1e7, 1e9}) {
    rows.push_back({2, bytes});
    b.push_back(2 * 3e-6 + bytes * 4e-10);
  }
  const auto x = NonNegativeLeastSquares(rows, b);
  EXPECT_NEAR(x[0], 3e-6, 1e-9);
  EXPECT_NEAR(x[1], 4e-10, 1e-16);
}

TEST(NonNegativeTest, WhatWouldBeNegativeIsNothing) {
  // Unbound, the second unknown is −1.
  const Rows rows = {{1, 1}, {2, 1}, {3, 1}};
  const std::vector<double> b = {0, 1, 2};
  const auto x = NonNegativeLeastSquares(rows, b);
  EXPECT_NEAR(x[0], 8.0 / 14, 1e-12);
  EXPECT_EQ(x[1], 0);
}

TEST(NonNegativeTest, ColumnsThatOthersGiveAlreadyGetNothing) {
  const Rows rows = {{1, 2, 0}, {2, 4, 0}, {3, 6, 0}};
  const std::vector<double> b = {1, 2, 3};
  const auto x = NonNegativeLeastSquares(rows, b);
  EXPECT_NEAR(x[0] + 2 * x[1], 1, 1e-12);
  EXPECT_EQ(x[2], 0);
  EXPECT_TRUE(NonNegativeLeastSquares({}, {}).empty());
}

}  // namespace
}  // namespace breakeven
