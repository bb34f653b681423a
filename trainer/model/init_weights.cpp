// Fresh weights, as transformers' _init_weights draws them for each family.
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <string>

#include "comm/base/hash.h"
#include "comm/base/random.h"
#include "trainer/model/model.h"

namespace breakeven {
namespace {

void FillNormal(const at::Tensor& parameter, double deviation, uint64_t seed) {
  const at::Tensor on_host =
      parameter.is_cpu() ? parameter : at::empty(parameter.sizes(), at::kFloat);
  float* values = on_host.mutable_data_ptr<float>();
  constexpr auto kStream = static_cast<uint64_t>(RandomStream::kInitWeights);
  at::parallel_for(0, parameter.numel(), 1 << 14, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      values[i] =
          static_cast<float>(deviation * RandomNormal(seed, kStream, static_cast<uint64_t>(i)));
    }
  });
  if (!parameter.is_cpu()) parameter.copy_(on_host);
}

}  // namespace

void InitializeWeights(Model& model, uint64_t seed) {
  const c10::NoGradGuard no_gradients;
  const ModelConfig& config = model.config();
  for (const NamedParameter& parameter : model.parameters()) {
    if (parameter.name.ends_with(".bias")) {
      parameter.tensor.zero_();
    } else if (!parameter.decays) {
      parameter.tensor.fill_(1);  // norms
    } else {
      // GPT-2 keeps the residual stream's variance from growing with depth: two additions in each
      // layer.
      const bool residual =
          config.model_type == "gpt2" && parameter.name.ends_with("c_proj.weight");
      const double depth = 2.0 * static_cast<double>(config.num_layers);
      const double deviation = config.initializer_range / (residual ? std::sqrt(depth) : 1.0);
      FillNormal(parameter.tensor, deviation, seed ^ Hash64(parameter.name));
    }
  }
}

}  // namespace breakeven
