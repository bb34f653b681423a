// Pure.
#include "trainer/autograd/few_rows_product.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "tests/trainer/autograd/drawn_values.h"

namespace breakeven {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

template <typename T>
class FewRowsProductTest : public testing::Test {
 public:
  // left [rows, depth]; right as rows of columns (weights [out, in]) or of depth.
  static std::vector<T> Product(const std::vector<T>& left, const std::vector<T>& right,
                                int64_t depth, int64_t rows, bool right_rows, bool add,
                                const std::vector<int64_t>& bands) {
    const int64_t columns = std::ssize(right) / depth;
    std::vector<T> out =
        Converted<T>(std::vector<float>(static_cast<size_t>(rows * columns), add ? 0.5f : kNan));
    const PackedProduct<T, T> product = {depth,
                                         rows,
                                         columns,
                                         {left.data(), depth, true},
                                         {right.data(), right_rows ? depth : columns, right_rows},
                                         out.data(),
                                         add};
    int64_t begin = 0;
    for (const int64_t end : bands) {
      std::vector<float> sums(static_cast<size_t>(rows * (end - begin)), kNan);
      MultiplyFewRows(product, begin, end, sums.data());
      begin = end;
    }
    return out;
  }
};

using Types = testing::Types<float, BFloat16>;
TYPED_TEST_SUITE(FewRowsProductTest, Types);

TYPED_TEST(FewRowsProductTest, IsTheSumOfProducts) {
  for (const auto& [depth, rows, columns] : std::vector<std::array<int64_t, 3>>{
           {1, 1, 1}, {7, 2, 33}, {64, 3, 32}, {577, 1, 50}, {401, 15, 77}, {30, 5, 4500}}) {
    const std::vector<TypeParam> left = Draw<TypeParam>(1, depth * rows),
                                 right = Draw<TypeParam>(2, depth * columns);
    for (const bool right_rows : {true, false}) {
      for (const bool add : {false, true}) {
        const std::vector<TypeParam> out =
            this->Product(left, right, depth, rows, right_rows, add, {columns});
        double worst = 0;
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t c = 0; c < columns; ++c) {
            double sum = add ? 0.5 : 0;
            for (int64_t k = 0; k < depth; ++k) {
              sum +=
                  ValueOf(left[static_cast<size_t>(r * depth + k)]) *
                  ValueOf(right[static_cast<size_t>(right_rows ? c * depth + k : k * columns + c)]);
            }
            const double rounding = std::is_same_v<TypeParam, float> ? 0 : std::abs(sum) / 256;
            const double error =
                std::abs(sum - ValueOf(out[static_cast<size_t>(r * columns + c)])) - rounding;
            worst = error <= worst ? worst : error;  // NaN stays
          }
        }
        EXPECT_LE(worst, 4e-6 * std::sqrt(static_cast<double>(depth)))
            << depth << " " << rows << " " << columns << " " << right_rows << add;
      }
    }
  }
}

// Whatever share of the columns a thread has, and whatever rows are beside one.
TYPED_TEST(FewRowsProductTest, ARowHasItsBitsAloneAndInBands) {
  const int64_t depth = 101, rows = 7, columns = 75;
  const std::vector<TypeParam> left = Draw<TypeParam>(1, depth * rows),
                               right = Draw<TypeParam>(2, depth * columns);
  for (const bool right_rows : {true, false}) {
    const std::vector<TypeParam> whole =
        this->Product(left, right, depth, rows, right_rows, false, {columns});
    const std::vector<TypeParam> banded =
        this->Product(left, right, depth, rows, right_rows, false, {3, 40, 41, columns});
    for (int64_t r = 0; r < rows; ++r) {
      const std::vector<TypeParam> row(left.begin() + r * depth, left.begin() + (r + 1) * depth);
      const std::vector<TypeParam> alone =
          this->Product(row, right, depth, 1, right_rows, false, {columns});
      for (int64_t c = 0; c < columns; ++c) {
        const size_t at = static_cast<size_t>(r * columns + c);
        ASSERT_EQ(ValueOf(alone[static_cast<size_t>(c)]), ValueOf(whole[at])) << r << " " << c;
        ASSERT_EQ(ValueOf(banded[at]), ValueOf(whole[at])) << r << " " << c;
      }
    }
  }
}

TYPED_TEST(FewRowsProductTest, NanStaysInItsRowAndColumn) {
  const int64_t depth = 21, rows = 3, columns = 35;
  for (const bool right_rows : {true, false}) {
    std::vector<float> left(depth * rows, 1.0f), right(depth * columns, 1.0f);
    left[1 * depth + 20] = kNan;
    right[right_rows ? 34 * depth + 20 : 20 * columns + 34] = kNan;
    const std::vector<TypeParam> out =
        this->Product(Converted<TypeParam>(left), Converted<TypeParam>(right), depth, rows,
                      right_rows, false, {columns});
    for (int64_t i = 0; i < rows * columns; ++i) {
      const bool touched = i / columns == 1 || i % columns == 34;
      EXPECT_EQ(std::isnan(ValueOf(out[static_cast<size_t>(i)])), touched) << i;
    }
  }
}

// Logits of a model in bfloat16: the sums themselves, which rounding gives its bfloat16 result.
TEST(FewRowsOfBFloat16Test, AFloatResultIsNotRounded) {
  const int64_t depth = 101, rows = 3, columns = 40;
  const std::vector<BFloat16> left = Draw<BFloat16>(1, depth * rows),
                              right = Draw<BFloat16>(2, depth * columns);
  const std::vector<BFloat16> rounded =
      FewRowsProductTest<BFloat16>::Product(left, right, depth, rows, true, false, {columns});
  std::vector<float> exact(rounded.size(), kNan), sums(rounded.size(), kNan);
  MultiplyFewRows(PackedProduct<BFloat16>{depth,
                                          rows,
                                          columns,
                                          {left.data(), depth, true},
                                          {right.data(), depth, true},
                                          exact.data(),
                                          false},
                  0, columns, sums.data());
  bool differs = false;
  for (size_t i = 0; i < exact.size(); ++i) {
    EXPECT_EQ(ValueOf(Converted<BFloat16>(std::vector<float>{exact[i]})[0]), ValueOf(rounded[i]));
    differs = differs || exact[i] != ValueOf(rounded[i]);
  }
  EXPECT_TRUE(differs);
}

}  // namespace
}  // namespace breakeven
