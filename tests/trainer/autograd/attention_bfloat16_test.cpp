// Pure.
#include "trainer/autograd/attention_bfloat16.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numeric>
#include <ostream>
#include <vector>

#include "tests/trainer/autograd/drawn_values.h"

namespace breakeven {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Shape {
  int64_t length, num_heads, num_kv_heads, head_dim;
  bool rotates;
};

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << s.length << " tokens, " << s.num_heads << " heads on " << s.num_kv_heads << " of "
             << s.head_dim << (s.rotates ? ", rotated" : "");
}

// What was in the scratch before, and how much more of it there is, must not matter.
struct Leftovers {
  float filler = kNan;
  int64_t longer = 0;
};

// One segment, forward and backward.
template <typename T>
struct Attended {
  Attended(const Shape& s, const std::vector<T>& qkv, const std::vector<T>& grad_out,
           bool float32_products = false, const Leftovers& leftovers = {})
      : out(grad_out.size()),
        grad_qkv(qkv.size()),
        log_sum_exp(static_cast<size_t>(s.length * s.num_heads)) {
    std::vector<float> cos, sin;
    for (int64_t t = 0; t < s.length; ++t) {
      for (int64_t i = 0; i < s.head_dim / 2; ++i) {
        const double part = 2 * static_cast<double>(i) / static_cast<double>(s.head_dim);
        const double angle = static_cast<double>(t) * std::pow(100.0, -part);
        cos.push_back(static_cast<float>(std::cos(angle)));
        sin.push_back(static_cast<float>(std::sin(angle)));
      }
    }
    const AttentionSegment<T> segment = {
        .length = s.length,
        .num_heads = s.num_heads,
        .num_kv_heads = s.num_kv_heads,
        .head_dim = s.head_dim,
        .scale = 1 / std::sqrt(static_cast<float>(s.head_dim)),
        .cos = s.rotates ? cos.data() : nullptr,
        .sin = s.rotates ? sin.data() : nullptr,
        .qkv = qkv.data(),
        .out = out.data(),
        .log_sum_exp = log_sum_exp.data(),
        .grad_out = grad_out.data(),
        .grad_qkv = grad_qkv.data(),
        .float32_products = float32_products,
    };
    const auto floats = AttentionScratch(s.length + leftovers.longer, s.head_dim);
    for (const bool backward : {false, true}) {
      for (int64_t head = 0; head < s.num_kv_heads; ++head) {
        std::vector<float> scratch(static_cast<size_t>(floats), leftovers.filler);
        backward ? AttendBackward(segment, head, scratch.data())
                 : AttendForward(segment, head, scratch.data());
      }
    }
  }
  std::vector<T> out, grad_qkv;
  std::vector<float> log_sum_exp;
};

struct Inputs {
  explicit Inputs(const Shape& s)
      : shape(s),
        qkv(Draw<BFloat16>(1, s.length * (s.num_heads + 2 * s.num_kv_heads) * s.head_dim)),
        grad_out(Draw<BFloat16>(2, s.length * s.num_heads * s.head_dim)) {}
  Shape shape;
  std::vector<BFloat16> qkv, grad_out;
};

std::vector<float> Widened(const std::vector<BFloat16>& values) {
  std::vector<float> wide;
  for (const BFloat16 value : values) wide.push_back(static_cast<float>(ValueOf(value)));
  return wide;
}

template <typename T>
bool SameBits(const std::vector<T>& a, const std::vector<T>& b, size_t count) {
  return std::memcmp(a.data(), b.data(), count * sizeof(T)) == 0;
}

// Each token's part of each head is near that of `exact`, so that a small one does not hide behind others.
// What it may be apart is measured by itself and by that head's mean over tokens: a sum may be small because
// its parts cancel out.
void ExpectNear(const std::vector<BFloat16>& here, const std::vector<float>& exact,
                const Shape& shape, double tolerance) {
  ASSERT_EQ(here.size(), exact.size());
  const auto size = static_cast<size_t>(shape.head_dim);
  const size_t num_tokens = static_cast<size_t>(shape.length), row = exact.size() / num_tokens;
  for (size_t column = 0; column < row; column += size) {
    std::vector<double> apart(num_tokens), squares(num_tokens);
    for (size_t t = 0; t < num_tokens; ++t) {
      for (size_t i = t * row + column; i < t * row + column + size; ++i) {
        apart[t] += std::pow(ValueOf(here[i]) - exact[i], 2);
        squares[t] += std::pow(exact[i], 2);
      }
    }
    const double mean =
        std::accumulate(squares.begin(), squares.end(), 0.0) / static_cast<double>(num_tokens);
    for (size_t t = 0; t < num_tokens; ++t) {
      ASSERT_LE(std::sqrt(apart[t]),
                1e-5 + tolerance * (std::sqrt(squares[t]) + std::sqrt(mean)) / 2)
          << "token " << t << ", columns from " << column << " on";
    }
  }
}

// Beside the float32 kernel on the same values, which block_functions_test holds against the formula in float64.
void ExpectNearFloat32(const Inputs& inputs, bool float32_products, double tolerance) {
  const Attended<float> exact(inputs.shape, Widened(inputs.qkv), Widened(inputs.grad_out));
  const Attended<BFloat16> here(inputs.shape, inputs.qkv, inputs.grad_out, float32_products);
  ExpectNear(here.out, exact.out, inputs.shape, tolerance);
  ExpectNear(here.grad_qkv, exact.grad_qkv, inputs.shape, tolerance);
  for (size_t i = 0; i < exact.log_sum_exp.size(); ++i) {
    ASSERT_NEAR(here.log_sum_exp[i], exact.log_sum_exp[i], tolerance) << "row and head " << i;
  }
}

class BFloat16AttentionTest : public testing::TestWithParam<Shape> {
 protected:
  void SetUp() override {
    if (!attention_bfloat16::Serves(GetParam().head_dim)) {
      GTEST_SKIP() << "no AVX512-BF16 on this processor";
    }
  }
  Inputs inputs_{GetParam()};
};

TEST_P(BFloat16AttentionTest, IsNearFloat32) { ExpectNearFloat32(inputs_, false, 0.02); }

TEST_P(BFloat16AttentionTest, DoesNotDependOnWhatIsInTheScratch) {
  const Attended<BFloat16> first(GetParam(), inputs_.qkv, inputs_.grad_out);
  const Attended<BFloat16> second(GetParam(), inputs_.qkv, inputs_.grad_out, false,
                                  {.filler = 1e30f, .longer = 40});
  EXPECT_TRUE(SameBits(first.out, second.out, first.out.size()));
  EXPECT_TRUE(SameBits(first.log_sum_exp, second.log_sum_exp, first.log_sum_exp.size()));
  EXPECT_TRUE(SameBits(first.grad_qkv, second.grad_qkv, first.grad_qkv.size()));
}

// A beginning has the bits that it has alone: nothing of what follows goes into its sums, nor into its
// gradients where what follows has none.
TEST_P(BFloat16AttentionTest, ABeginningDoesNotSeeWhatFollows) {
  Shape shorter = GetParam();
  shorter.length = (shorter.length + 1) / 2;
  const auto count = [&](const auto& rows) {
    return rows.size() / static_cast<size_t>(GetParam().length) *
           static_cast<size_t>(shorter.length);
  };
  const auto beginning = [&](const std::vector<BFloat16>& rows) {
    return std::vector<BFloat16>(rows.begin(),
                                 rows.begin() + static_cast<std::ptrdiff_t>(count(rows)));
  };
  std::fill(inputs_.grad_out.begin() + static_cast<std::ptrdiff_t>(count(inputs_.grad_out)),
            inputs_.grad_out.end(), BFloat16{});
  const Attended<BFloat16> whole(GetParam(), inputs_.qkv, inputs_.grad_out);
  const Attended<BFloat16> part(shorter, beginning(inputs_.qkv), beginning(inputs_.grad_out));
  EXPECT_TRUE(SameBits(part.out, whole.out, part.out.size()));
  EXPECT_TRUE(SameBits(part.log_sum_exp, whole.log_sum_exp, part.log_sum_exp.size()));
  for (size_t i = 0; i < part.grad_qkv.size(); ++i) {
    ASSERT_EQ(ValueOf(part.grad_qkv[i]), ValueOf(whole.grad_qkv[i])) << "element " << i;  // -0 is 0
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, BFloat16AttentionTest,
                         testing::Values(Shape{1, 3, 1, 64, true}, Shape{7, 4, 2, 64, true},
                                         Shape{16, 9, 3, 64, true}, Shape{33, 2, 2, 32, false},
                                         Shape{40, 3, 3, 6, true}, Shape{70, 4, 1, 20, false},
                                         Shape{65, 2, 1, 80, true}, Shape{37, 2, 1, 48, true},
                                         Shape{50, 2, 1, 128, true}, Shape{256, 3, 1, 64, true}));

// What computes where there is no such instruction, and heads of an odd size everywhere.
TEST(BFloat16RowsInFloat32, AreNearFloat32) {
  ExpectNearFloat32(Inputs({70, 4, 2, 64, true}), true, 0.02);
  ExpectNearFloat32(Inputs({33, 2, 1, 7, false}), false, 0.02);
}

}  // namespace
}  // namespace breakeven
