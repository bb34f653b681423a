#include "trainer/model/flat_parameters.h"

#include "comm/base/error.h"

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
    return;
  }
  const int64_t unit = kFlatBlock * communicator->world_size();
  offset = (offset + unit - 1) / unit * unit;
  memory = communicator->Allocate(offset * static_cast<int64_t>(sizeof(float)));
  parameters_P = at::from_blob(memory.data(), {offset}, at::kFloat);
}

at::Tensor ViewOf(const at::Tensor& flat_P, const ParameterRange& range) {
  return flat_P.narrow(0, range.offset, range.numel).view(range.shape);
}

}  // namespace breakeven
