#include "trainer/model/flat_parameters.h"

#include <ATen/Parallel.h>

#include <utility>

#include "comm/base/error.h"
#include "trainer/autograd/bfloat16.h"
#include "trainer/autograd/element_type.h"
#include "trainer/tensor_bridge.h"

namespace breakeven {

void ModelStorage::Allocate(std::vector<ParameterRange> parameters) {
  BE_CHECK(!parameters_P.defined(), "one model in one storage");
  int64_t offset = 0;
  for (ParameterRange& range : parameters) {
    range.numel = c10::multiply_integers(range.shape);
    range.offset = offset;
    offset += (range.numel + kParameterAlignment - 1) / kParameterAlignment * kParameterAlignment;
  }
  ranges = std::move(parameters);
  if (communicator == nullptr) {
    parameters_P = at::zeros({offset}, at::TensorOptions().dtype(at::kFloat).device(device));
  } else {
    const int64_t unit = kFlatBlock * communicator->world_size();
    offset = (offset + unit - 1) / unit * unit;
    FlatBuffer flat = AllocateFlat(*communicator, offset, device);
    memory = std::move(flat.memory);
    parameters_P = std::move(flat.values);
  }
  if (product_type != at::kFloat) copies_P = at::zeros_like(parameters_P, product_type);
}

void RefreshCopies(const ModelStorage& storage) {
  if (!storage.copies_P.defined()) return;
  BE_CHECK(storage.copies_P.scalar_type() == at::kBFloat16, "copies are bfloat16");
  if (!HasFusedKernel(storage.parameters_P)) {
    const at::Tensor copies_P = storage.copies_P;
    copies_P.copy_(storage.parameters_P);
    return;
  }
  const float* from = storage.parameters_P.const_data_ptr<float>();
  auto* to = static_cast<BFloat16*>(storage.copies_P.mutable_data_ptr());
  constexpr int64_t kGrain = 1 << 16;
  at::parallel_for(0, storage.num_elements(), kGrain, [=](int64_t begin, int64_t end) {
    ConvertToBFloat16(from + begin, to + begin, end - begin);
  });
}

at::Tensor ViewOf(const at::Tensor& flat_P, const ParameterRange& range) {
  return flat_P.narrow(0, range.offset, range.numel).view(range.shape);
}

}  // namespace breakeven
