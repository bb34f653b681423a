#include "trainer/model/decoder.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <utility>

#include "comm/base/error.h"
#include "trainer/autograd/element_type.h"
#include "trainer/autograd/recompute.h"

namespace breakeven {

void ParameterTable::Declare(const std::string& name, std::vector<int64_t> shape, bool decays) {
  ParameterRange range;
  range.name = name;
  range.shape = std::move(shape);
  range.decays = decays;
  declared_.push_back(std::move(range));
}

void ParameterTable::Allocate() {
  storage_.Allocate(std::move(declared_));
  for (const ParameterRange& range : storage_.ranges) {
    NamedParameter parameter;
    parameter.name = range.name;
    parameter.tensor = ViewOf(storage_.parameters_P, range);
    parameter.tensor.set_requires_grad(true);
    parameter.decays = range.decays;
    index_.emplace(range.name, parameters_.size());
    parameters_.push_back(std::move(parameter));
  }
}

const at::Tensor& ParameterTable::operator[](const std::string& name) const {
  const auto found = index_.find(name);
  BE_CHECK(found != index_.end(), name);
  return parameters_[found->second].tensor;
}

at::Tensor ParameterTable::CopyOf(const std::string& name) const {
  if (!storage_.copies_P.defined()) return {};
  const auto found = index_.find(name);
  BE_CHECK(found != index_.end(), name);
  return ViewOf(storage_.copies_P, storage_.ranges[found->second]);
}

LinearWeights ParameterTable::Linear(const std::vector<std::string>& names, bool has_bias,
                                     bool input_major) const {
  LinearWeights parts;
  parts.input_major = input_major;
  parts.sink = sink();
  const auto take = [this](const std::string& name, std::vector<at::Tensor>& leaves,
                           std::vector<at::Tensor>& copies) {
    leaves.push_back((*this)[name]);
    if (const at::Tensor copy = CopyOf(name); copy.defined()) copies.push_back(copy);
  };
  for (const std::string& name : names) {
    take(name + ".weight", parts.weights, parts.weight_copies);
    if (has_bias) take(name + ".bias", parts.biases, parts.bias_copies);
  }
  return parts;
}

namespace {

bool Keeps(const Recompute recompute) {
  return recompute == Recompute::kNone || !at::GradMode::is_enabled();
}

at::Tensor Sum(const ResidualStream& stream) {
  return stream.update_TC.defined() ? stream.residual_TC + stream.update_TC : stream.residual_TC;
}

}  // namespace

ResidualStream RunBlock(Recompute recompute,
                        const std::function<ResidualStream(const ResidualStream&)>& block,
                        const ResidualStream& stream) {
  if (Keeps(recompute) || recompute != Recompute::kFull) return block(stream);
  const auto body = [block](const at::Tensor& input_TC) { return Sum(block({input_TC, {}})); };
  return {Recomputed(body, Sum(stream)), {}};
}

std::function<at::Tensor()> NormAgain(Recompute recompute, const at::Tensor& residual_TC,
                                      const NormWeights& norm) {
  if (Keeps(recompute) || recompute != Recompute::kSelective) return {};
  return [residual = residual_TC.detach(), norm] {
    return ResidualNorm(residual, {}, norm).normed_TC;
  };
}

std::function<at::Tensor()> ActivationAgain(Recompute recompute, const at::Tensor& input,
                                            at::Tensor (*activation)(const at::Tensor&)) {
  if (Keeps(recompute) || recompute != Recompute::kSelective) return {};
  return [kept = input.detach(), activation] { return activation(kept); };
}

void CheckInput(const PackedInput& input, const ModelConfig& config, const KvCache* cache) {
  const int64_t num_tokens = input.num_tokens();
  BE_CHECK(!input.segment_starts.empty() && input.segment_starts.front() == 0,
           "segments start at 0");
  BE_CHECK(input.tokens_T.dim() == 1 && input.tokens_T.size(0) == num_tokens &&
               input.positions_T.dim() == 1 && input.positions_T.size(0) == num_tokens,
           "tokens and positions for " + std::to_string(num_tokens) + " packed tokens");
  const int64_t* positions = input.positions_T.is_cpu() && input.positions_T.is_contiguous()
                                 ? input.positions_T.const_data_ptr<int64_t>()
                                 : nullptr;
  BE_CHECK(cache == nullptr || cache->num_sequences() == input.num_segments(),
           std::to_string(input.num_segments()) + " segments for the cache's sequences");
  for (int64_t b = 0; b < input.num_segments(); ++b) {
    const int64_t start = input.segment_starts[static_cast<size_t>(b)];
    const int64_t length = input.segment_starts[static_cast<size_t>(b) + 1] - start;
    BE_CHECK(length >= 0, "segment starts fall");
    const int64_t held = cache == nullptr ? 0 : cache->length(b);
    BE_CHECK(held + length <= config.max_positions,
             "segment " + std::to_string(b) + " reaches " + std::to_string(held + length) +
                 " tokens, the model has " + std::to_string(config.max_positions) + " positions");
    BE_CHECK(cache == nullptr || cache->own_length(b) + length <= cache->max_tokens(),
             "sequence " + std::to_string(b) + " outgrows the cache's " +
                 std::to_string(cache->max_tokens()));
    BE_CHECK(cache == nullptr || length == 0 || positions == nullptr || positions[start] == held,
             "sequence " + std::to_string(b) + " goes on at position " + std::to_string(held));
  }
}

void AdvanceCache(const PackedInput& input, KvCache& cache) {
  for (int64_t b = 0; b < input.num_segments(); ++b) {
    cache.Advance(b, input.segment_starts[static_cast<size_t>(b) + 1] -
                         input.segment_starts[static_cast<size_t>(b)]);
  }
}

std::unique_ptr<Model> BuildModel(const ModelConfig& config, ModelStorage& storage) {
  return config.model_type == "gpt2" ? BuildGpt2(config, storage) : BuildLlama(config, storage);
}

}  // namespace breakeven
