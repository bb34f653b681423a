#include "trainer/autograd/matrix_product.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "comm/base/error.h"
#include "trainer/autograd/element_type.h"
#include "trainer/autograd/few_rows_product.h"
#include "trainer/autograd/packed_product.h"
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

// A side by its memory, or nothing where neither dimension is dense. `lines`: which dimension counts
// them, 0 of the left side, 1 of the right.
template <typename T>
std::optional<ProductSide<T>> SideOf(const at::Tensor& matrix, int64_t lines) {
  const int64_t depth = 1 - lines;
  if (matrix.stride(depth) == 1)
    return ProductSide<T>{ConstData<T>(matrix), matrix.stride(lines), true};
  if (matrix.stride(lines) == 1)
    return ProductSide<T>{ConstData<T>(matrix), matrix.stride(depth), false};
  return std::nullopt;
}

// Nothing where a side has neither dimension dense.
template <typename T, typename Out>
std::optional<PackedProduct<T, Out>> ProductOf(const at::Tensor& out, const at::Tensor& left,
                                               const at::Tensor& right, bool adds) {
  const std::optional<ProductSide<T>> left_side = SideOf<T>(left, 0),
                                      right_side = SideOf<T>(right, 1);
  if (!left_side || !right_side) return std::nullopt;
  return PackedProduct<T, Out>{.depth = left.size(1),
                               .rows = left.size(0),
                               .columns = right.size(1),
                               .left = *left_side,
                               .right = *right_side,
                               .out = MutableData<Out>(out),
                               .add = adds};
}

// False where there are many rows, or the left side's are not dense.
template <typename T, typename Out>
bool MultiplyByStreaming(const at::Tensor& out, const at::Tensor& left, const at::Tensor& right,
                         bool adds) {
  if (left.size(0) >= kFewRows) return false;
  const auto product = ProductOf<T, Out>(out, left, right, adds);
  if (!product || !product->left.lines_are_rows) return false;
  // Fewer elements of the right side are read before a thread wakes. A thread's share is of whole
  // vectors.
  constexpr int64_t kElementsOfThread = 32768, kColumns = 16;
  at::parallel_for(0, (product->columns + kColumns - 1) / kColumns,
                   kElementsOfThread / (kColumns * product->depth) + 1,
                   [&](int64_t begin, int64_t end) {
                     begin *= kColumns;
                     end = std::min(end * kColumns, product->columns);
                     const at::Tensor sums = at::empty({product->rows, end - begin}, at::kFloat);
                     MultiplyFewRows(*product, begin, end, sums.mutable_data_ptr<float>());
                   });
  return true;
}

// On Intel's processors MKL and oneDNN are as fast, but not in AMX (packed_product.h).
template <typename T>
bool PackedIsFastest() {
  const CpuFeatures& cpu = CpuFeaturesOfThisMachine();
  return HasPackedProduct<T>() &&
         (!cpu.is_intel || (cpu.amx_bfloat16 && std::is_same_v<T, BFloat16>));
}

template <typename T, typename Out>
bool MultiplyPacked(const at::Tensor& out, const at::Tensor& left, const at::Tensor& right,
                    bool adds) {
  if (!PackedIsFastest<T>()) return false;
  const auto product = ProductOf<T, Out>(out, left, right, adds);
  if (!product) return false;
  // A band for each thread: every band packs all of the right side for itself.
  const int64_t threads = at::get_num_threads();
  at::parallel_for(0, product->rows, (product->rows + threads - 1) / threads,
                   [&](int64_t begin, int64_t end) {
                     const at::Tensor scratch =
                         at::empty({PackedProductScratch(*product, end - begin)}, at::kFloat);
                     Multiply(*product, begin, end, scratch.mutable_data_ptr<float>());
                   });
  return true;
}

// False where ATen has to.
template <typename T>
bool MultiplyOnHost(const at::Tensor& out, const at::Tensor& left, const at::Tensor& right,
                    bool adds) {
  return left.size(0) < kFewRows ? MultiplyByStreaming<T, T>(out, left, right, adds)
                                 : MultiplyPacked<T, T>(out, left, right, adds);
}

const uint16_t* Bits(const at::Tensor& tensor) {
  return static_cast<const uint16_t*>(tensor.const_data_ptr());
}

void MultiplyByMkl(const at::Tensor& out, const at::Tensor& left, const at::Tensor& right,
                   bool adds) {
  const auto row = [](const at::Tensor& m) {
    return static_cast<int>(m.stride(0) == 1 ? m.stride(1) : m.stride(0));
  };
  const auto form = [](const at::Tensor& m) {
    return m.stride(1) == 1 ? kNotTransposed : kTransposed;
  };
  const auto n = static_cast<int>(right.size(1));
  cblas_gemm_bf16bf16f32(kRowMajor, form(left), form(right), static_cast<int>(left.size(0)), n,
                         static_cast<int>(left.size(1)), 1.0f, Bits(left), row(left), Bits(right),
                         row(right), adds ? 1.0f : 0.0f, out.mutable_data_ptr<float>(), n);
}

void AddOrCopy(const at::Tensor& out, const at::Tensor& product, bool adds) {
  adds ? out.add_(product) : out.copy_(product);
}

}  // namespace

void MultiplyInto(const at::Tensor& out_RN, const at::Tensor& left_RK, const at::Tensor& right_KN,
                  bool adds) {
  if (out_RN.numel() == 0 || left_RK.size(1) == 0) {
    if (!adds) out_RN.zero_();
    return;
  }
  const at::ScalarType from = left_RK.scalar_type(), to = out_RN.scalar_type();
  const bool on_host = HasFusedKernel(out_RN);
  if (on_host) BE_CHECK(out_RN.is_contiguous(), "a contiguous result");
  if (from == to) {
    if (on_host && (to == at::kFloat ? MultiplyOnHost<float>(out_RN, left_RK, right_KN, adds)
                                     : MultiplyOnHost<BFloat16>(out_RN, left_RK, right_KN, adds))) {
      return;
    }
    at::Tensor out = out_RN;
    adds ? out.addmm_(left_RK, right_KN) : at::mm_out(out, left_RK, right_KN);
    return;
  }
  BE_CHECK(from == at::kBFloat16 && to == at::kFloat, "bfloat16 gives float32 or bfloat16");
  if (left_RK.is_cuda()) {  // cuBLAS sums in float32 and leaves it so
    return AddOrCopy(out_RN, at::mm(left_RK, right_KN, at::kFloat), adds);
  }
  if (on_host && MultiplyByStreaming<BFloat16, float>(out_RN, left_RK, right_KN, adds)) return;
  if (on_host && MultiplyPacked<BFloat16, float>(out_RN, left_RK, right_KN, adds)) return;
  const bool dense = SideOf<BFloat16>(left_RK, 0) && SideOf<BFloat16>(right_KN, 1);
  if (on_host && dense && MklMultipliesBFloat16()) {
    return MultiplyByMkl(out_RN, left_RK, right_KN, adds);
  }
  AddOrCopy(out_RN, at::mm(left_RK.to(at::kFloat), right_KN.to(at::kFloat)), adds);
}

at::Tensor Multiply(const at::Tensor& left_RK, const at::Tensor& right_KN) {
  const at::Tensor out_RN = at::empty({left_RK.size(0), right_KN.size(1)}, left_RK.options());
  MultiplyInto(out_RN, left_RK, right_KN);
  return out_RN;
}

}  // namespace breakeven
