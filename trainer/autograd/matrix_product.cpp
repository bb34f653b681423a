#include "trainer/autograd/matrix_product.h"

#include <cstdint>

#include "comm/base/error.h"
#include "trainer/autograd/aten_only.h"
#include "trainer/cpu_features.h"

// Of MKL, which libtorch's wheel carries and exports but has no header for. Weak: a libtorch that
// was built without MKL leaves it null.
extern "C" __attribute__((weak)) void cblas_gemm_bf16bf16f32(
    int layout, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
    const uint16_t* a, int row_a, const uint16_t* b, int row_b, float beta, float* c, int row_c);

namespace breakeven {
namespace {

// Values of CBLAS.
constexpr int kRowMajor = 101;
constexpr int kNotTransposed = 111;
constexpr int kTransposed = 112;

// MKL's product is the fast one on Intel's processors only; elsewhere it may emulate.
bool MklMultipliesBFloat16() {
  static const bool fast = cblas_gemm_bf16bf16f32 != nullptr &&
                           CpuFeaturesOfThisMachine().is_intel &&
                           CpuFeaturesOfThisMachine().HasFastBFloat16();
  return fast;
}

const uint16_t* Bits(const at::Tensor& tensor) {
  return static_cast<const uint16_t*>(tensor.const_data_ptr());
}

}  // namespace

void AddTransposedProduct(const at::Tensor& sink_MN, const at::Tensor& left_TM,
                          const at::Tensor& right_TN) {
  if (left_TM.scalar_type() != at::kBFloat16) {
    sink_MN.addmm_(left_TM.t(), right_TN);  // one product, no temporary
    return;
  }
  if (left_TM.is_cuda()) {  // cuBLAS sums in float32 and leaves it so
    sink_MN.add_(at::mm(left_TM.t(), right_TN, at::kFloat));
    return;
  }
  if (!left_TM.is_cpu() || AtenOnly::on() || !MklMultipliesBFloat16()) {
    sink_MN.add_(at::mm(left_TM.t(), right_TN));
    return;
  }
  if (left_TM.numel() == 0) return;
  BE_CHECK(left_TM.is_contiguous() && right_TN.is_contiguous() && sink_MN.is_contiguous(),
           "contiguous matrices");
  const auto m = static_cast<int>(left_TM.size(1));
  const auto n = static_cast<int>(right_TN.size(1));
  cblas_gemm_bf16bf16f32(kRowMajor, kTransposed, kNotTransposed, m, n,
                         static_cast<int>(left_TM.size(0)), 1.0f, Bits(left_TM), m, Bits(right_TN),
                         n, 1.0f, sink_MN.mutable_data_ptr<float>(), n);
}

}  // namespace breakeven
