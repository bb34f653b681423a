// Products by the rows on their left: few stream the right side, more pack it or go by a library.
#include "trainer/autograd/matrix_product.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace breakeven {
namespace {

struct Sides {
  at::Tensor left_RK, right_KN;
};

// Weights as [out, in] and as [in, out]; a left side whose rows are part of longer ones.
std::vector<Sides> AllForms(int64_t rows, int64_t depth, int64_t columns, at::ScalarType type) {
  at::manual_seed(5);
  const at::Tensor left = at::randn({rows, depth}).to(type);
  const at::Tensor padded = at::randn({rows, depth + 7}).to(type).narrow(1, 3, depth);
  const at::Tensor out_in = at::randn({columns, depth}).to(type);
  const at::Tensor in_out = at::randn({depth, columns}).to(type);
  return {{left, out_in.t()},
          {left, in_out},
          {padded, out_in.t()},
          {left.t().contiguous().t(), in_out}};
}

double WorstError(const at::Tensor& found, const at::Tensor& expected) {
  return (found.to(at::kDouble) - expected).abs().max().item<double>();
}

TEST(MatrixProduct, IsTheProductForAnyRowsFormAndType) {
  constexpr int64_t kDepth = 150, kColumns = 83;
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const int64_t rows : {1, 2, 3, 15, 16, 40}) {
      for (const Sides& s : AllForms(rows, kDepth, kColumns, type)) {
        const at::Tensor expected = at::mm(s.left_RK.to(at::kDouble), s.right_KN.to(at::kDouble));
        const double tolerance = type == at::kFloat ? 1e-4 : 0.4;
        EXPECT_LT(WorstError(Multiply(s.left_RK, s.right_KN), expected), tolerance)
            << rows << " " << type << " " << s.left_RK.strides() << s.right_KN.strides();
        const at::Tensor out = at::ones({rows, kColumns}, s.left_RK.options());
        MultiplyInto(out, s.left_RK, s.right_KN, /*adds=*/true);
        EXPECT_LT(WorstError(out, expected + 1), tolerance) << rows << " " << type;
      }
    }
  }
}

TEST(MatrixProduct, OfFewRowsHasTheSameBitsOnAnyNumberOfThreads) {
  const int before = at::get_num_threads();
  for (const int64_t rows : {1, 5}) {
    for (const Sides& s : AllForms(rows, 600, 1001, at::kFloat)) {
      if (s.left_RK.stride(1) != 1) continue;  // columns on the left: by ATen
      at::set_num_threads(1);
      const at::Tensor alone = Multiply(s.left_RK, s.right_KN);
      for (const int threads : {2, 3}) {
        at::set_num_threads(threads);
        EXPECT_TRUE(at::equal(Multiply(s.left_RK, s.right_KN), alone)) << rows << " " << threads;
      }
    }
  }
  at::set_num_threads(before);
}

}  // namespace
}  // namespace breakeven
