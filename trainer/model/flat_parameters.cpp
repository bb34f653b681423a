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
    shared_ = wants_shared_ && AllocateShared(offset);
    if (shared_) return;
    FlatBuffer flat = AllocateFlat(*communicator, offset, device);
    memory = std::move(flat.memory);
    parameters_P = std::move(flat.values);
  }
  if (product_type == at::kFloat) return;
  WithDeviceMemory("set precision: float32",
                   [&] { copies_P = at::zeros_like(parameters_P, product_type); });
}

bool ModelStorage::AllocateShared(int64_t num_elements) {
  FlatBuffer weights = AllocateSharedFlat(*communicator, num_elements);
  if (!weights.values.defined()) return false;
  FlatBuffer copies;
  if (product_type != at::kFloat) {
    copies = AllocateSharedFlat(*communicator, num_elements, product_type);
    if (!copies.values.defined()) return false;
  }
  memory = std::move(weights.memory);
  parameters_P = std::move(weights.values);
  copies_memory = std::move(copies.memory);
  copies_P = std::move(copies.values);
  return true;
}

at::ScalarType ProductTypeOf(std::string_view precision) {
  const bool rounds = precision == "bfloat16";
  BE_CHECK(rounds || precision == "float32", "precision " + std::string(precision));
  return rounds ? at::kBFloat16 : at::kFloat;
}

void RefreshCopies(const ModelStorage& storage, const std::vector<FlatRange>& ranges) {
  if (!storage.copies_P.defined()) return;
  BE_CHECK(storage.copies_P.scalar_type() == at::kBFloat16, "copies are bfloat16");
  const bool fused = HasFusedKernel(storage.parameters_P);
  for (const FlatRange& range : ranges) {
    const at::Tensor from = storage.parameters_P.narrow(0, range.begin, range.size());
    const at::Tensor to = storage.copies_P.narrow(0, range.begin, range.size());
    if (!fused) {
      to.copy_(from.detach());
      continue;
    }
    const float* weights = ConstData<float>(from);
    auto* copies = MutableData<BFloat16>(to);
    constexpr int64_t kGrain = 1 << 16;
    at::parallel_for(0, range.size(), kGrain, [=](int64_t begin, int64_t end) {
      ConvertToBFloat16(weights + begin, copies + begin, end - begin);
    });
  }
}

void RefreshCopies(const ModelStorage& storage) {
  RefreshCopies(storage, {{0, storage.num_elements()}});
}

at::Tensor ViewOf(const at::Tensor& flat_P, const ParameterRange& range) {
  return flat_P.narrow(0, range.offset, range.numel).view(range.shape);
}

}  // namespace breakeven
