// Pure.
#include "trainer/autograd/packed_product.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "tests/trainer/autograd/drawn_values.h"
#include "trainer/autograd/row_kernels.h"

namespace breakeven {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct FloatKernel {
  using Type = float;
  static constexpr bool kVectorsOnly = false;
};
struct BFloat16Kernel {  // AMX where there is
  using Type = BFloat16;
  static constexpr bool kVectorsOnly = false;
};
struct BFloat16Vectors {
  using Type = BFloat16;
  static constexpr bool kVectorsOnly = true;
};

template <typename Kernel>
class PackedProductTest : public testing::Test {
 public:
  using Element = typename Kernel::Type;
  void SetUp() override {
    if (!HasPackedProduct<Element>()) GTEST_SKIP() << "no AVX-512 for this type here";
  }

  template <typename Out>
  static void Run(PackedProduct<Element, Out> product, int64_t begin, int64_t end) {
    product.vectors_only = Kernel::kVectorsOnly;
    std::vector<float> scratch(static_cast<size_t>(PackedProductScratch(product, end - begin)),
                               kNan);
    Multiply(product, begin, end, scratch.data());
  }
};

using Kernels = testing::Types<FloatKernel, BFloat16Kernel, BFloat16Vectors>;
TYPED_TEST_SUITE(PackedProductTest, Kernels);

// Sizes below, at and above those of tiles, panels and blocks; each side by rows and by columns.
TYPED_TEST(PackedProductTest, IsTheSumOfProducts) {
  using T = typename TypeParam::Type;
  for (const auto& [depth, rows, columns] : std::vector<std::array<int64_t, 3>>{
           {1, 1, 1}, {7, 13, 33}, {64, 12, 32}, {513, 25, 50}, {401, 30, 577}, {1100, 5, 20}}) {
    const std::vector<T> left = Draw<T>(1, depth * rows), right = Draw<T>(2, depth * columns);
    for (int form = 0; form < 8; ++form) {
      const bool left_rows = (form & 1) != 0, right_rows = (form & 2) != 0, add = (form & 4) != 0;
      std::vector<float> out(static_cast<size_t>(rows * columns), add ? 0.5f : kNan);
      this->Run(PackedProduct<T>{depth,
                                 rows,
                                 columns,
                                 {left.data(), left_rows ? depth : rows, left_rows},
                                 {right.data(), right_rows ? depth : columns, right_rows},
                                 out.data(),
                                 add},
                0, rows);
      const auto at = [depth](const std::vector<T>& side, int64_t lines, bool by_rows, int64_t line,
                              int64_t k) {
        return ValueOf(side[static_cast<size_t>(by_rows ? line * depth + k : k * lines + line)]);
      };
      double worst = 0;
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < columns; ++c) {
          double sum = add ? 0.5 : 0;
          for (int64_t k = 0; k < depth; ++k) {
            sum += at(left, rows, left_rows, r, k) * at(right, columns, right_rows, c, k);
          }
          const double error = std::abs(sum - ValueOf(out[static_cast<size_t>(r * columns + c)]));
          worst = error <= worst ? worst : error;  // NaN stays
        }
      }
      EXPECT_LE(worst, 4e-6 * std::sqrt(static_cast<double>(depth))) << depth << " form " << form;
    }
  }
}

TYPED_TEST(PackedProductTest, BandsGiveTheBitsOfTheWholeAndNothingElse) {
  using T = typename TypeParam::Type;
  const int64_t depth = 530, rows = 130, columns = 45;
  const std::vector<T> left = Draw<T>(1, depth * rows), right = Draw<T>(2, depth * columns);
  std::vector<float> whole(static_cast<size_t>(rows * columns)), banded(whole.size(), -7.0f);
  PackedProduct<T> product = {
      depth,        rows, columns, {left.data(), depth, true}, {right.data(), columns, false},
      whole.data(), false};
  this->Run(product, 0, rows);
  product.out = banded.data();
  this->Run(product, 10, 61);
  for (int64_t i = 0; i < rows * columns; ++i) {
    const bool in_band = i >= 10 * columns && i < 61 * columns;
    ASSERT_EQ(banded[static_cast<size_t>(i)], in_band ? whole[static_cast<size_t>(i)] : -7.0f) << i;
  }
  this->Run(product, 0, 10);
  this->Run(product, 61, rows);
  EXPECT_EQ(banded, whole);
}

// In bfloat16, of one block of depth and of several: the float32 result, rounded.
template <typename Fixture>
void ExpectRoundsOnce() {
  for (const int64_t depth : {70, 1000, 3000}) {
    const int64_t rows = 30, columns = 70;
    const std::vector<BFloat16> left = Draw<BFloat16>(1, depth * rows),
                                right = Draw<BFloat16>(2, depth * columns);
    const size_t size = static_cast<size_t>(rows * columns);
    for (const bool add : {false, true}) {
      std::vector<BFloat16> before = Draw<BFloat16>(3, rows * columns), out = before,
                            expected(size);
      std::vector<float> sums(size);
      for (size_t i = 0; i < size; ++i) sums[i] = ToFloat(before[i]);
      PackedProduct<BFloat16> product = {
          depth,       rows, columns, {left.data(), depth, true}, {right.data(), columns, false},
          sums.data(), add};
      Fixture::Run(product, 0, rows);
      ConvertToBFloat16(sums.data(), expected.data(), rows * columns);
      Fixture::Run(PackedProduct<BFloat16, BFloat16>{depth, rows, columns, product.left,
                                                     product.right, out.data(), add},
                   0, 17);
      Fixture::Run(PackedProduct<BFloat16, BFloat16>{depth, rows, columns, product.left,
                                                     product.right, out.data(), add},
                   17, rows);
      for (size_t i = 0; i < size; ++i)
        ASSERT_EQ(out[i].bits, expected[i].bits) << depth << " " << i;
    }
  }
}

TEST(PackedProduct, RoundsOnceAtTheEnd) {
  if (!HasPackedProduct<BFloat16>()) GTEST_SKIP() << "no AVX512-BF16 here";
  ExpectRoundsOnce<PackedProductTest<BFloat16Kernel>>();
  ExpectRoundsOnce<PackedProductTest<BFloat16Vectors>>();
}

// What is not a number spreads to what it belongs to only, though lines are packed with zeros beside.
TYPED_TEST(PackedProductTest, NanStaysInItsRowAndColumn) {
  using T = typename TypeParam::Type;
  const int64_t depth = 5, rows = 14, columns = 35;
  std::vector<T> left = Draw<T>(1, depth * rows), right = Draw<T>(2, depth * columns);
  const T nan = [] {
    T value;
    if constexpr (std::is_same_v<T, float>) {
      value = kNan;
    } else {
      value.bits = 0x7fc0;
    }
    return value;
  }();
  left[13 * depth + 2] = nan;
  std::vector<float> out(static_cast<size_t>(rows * columns));
  const PackedProduct<T> product = {
      depth,      rows, columns, {left.data(), depth, true}, {right.data(), columns, false},
      out.data(), false};
  this->Run(product, 0, rows);
  for (int64_t i = 0; i < rows * columns; ++i) {
    EXPECT_EQ(std::isnan(out[static_cast<size_t>(i)]), i >= 13 * columns) << i;
  }
}

}  // namespace
}  // namespace breakeven
