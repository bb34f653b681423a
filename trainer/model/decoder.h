// What the decoder families share: their parameter table, blocks and input checks.
#ifndef BREAKEVEN_TRAINER_MODEL_DECODER_H_
#define BREAKEVEN_TRAINER_MODEL_DECODER_H_

#include <ATen/ATen.h>

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "trainer/autograd/block_functions.h"
#include "trainer/autograd/linear.h"
#include "trainer/model/flat_parameters.h"
#include "trainer/model/kv_cache.h"
#include "trainer/model/model.h"

namespace breakeven {

// Parameters of a model by name. A family declares them in forward order, then takes each by its
// name.
class ParameterTable {
 public:
  ParameterTable(ModelStorage& storage, GradientSink& sink) : storage_(storage), sink_(sink) {}

  void Declare(const std::string& name, std::vector<int64_t> shape, bool decays);
  // COLLECTIVE. After the last Declare: allocates the storage; parameters() are its views and
  // require gradients.
  void Allocate();

  const at::Tensor& operator[](const std::string& name) const;
  // What products read of it: a view of storage.copies_P, or undefined in float32.
  at::Tensor CopyOf(const std::string& name) const;
  at::ScalarType product_type() const { return storage_.product_type; }
  GradientSink* sink() const { return &sink_; }
  // Weights `name.weight` and, when asked for, biases `name.bias`, in this order.
  LinearWeights Linear(const std::vector<std::string>& names, bool has_bias,
                       bool input_major = false) const;
  std::vector<NamedParameter>& parameters() { return parameters_; }

 private:
  ModelStorage& storage_;
  GradientSink& sink_;
  std::vector<ParameterRange> declared_;
  std::vector<NamedParameter> parameters_;
  std::unordered_map<std::string, size_t> index_;
};

// The residual stream between two blocks, [T, C]: what it was before a sub-block, and what that adds;
// `update` may be undefined: nothing.
struct ResidualStream {
  at::Tensor residual_TC;
  at::Tensor update_TC;
};

// block(stream), kept or computed again in backward as `recompute` says. `block` must live until then.
ResidualStream RunBlock(Recompute recompute,
                        const std::function<ResidualStream(const ResidualStream&)>& block,
                        const ResidualStream& stream);

// For Linear's input_again. Empty unless recompute is kSelective and gradients are wanted.
std::function<at::Tensor()> NormAgain(Recompute recompute, const at::Tensor& residual_TC,
                                      const NormWeights& norm);
std::function<at::Tensor()> ActivationAgain(Recompute recompute, const at::Tensor& input,
                                            at::Tensor (*activation)(const at::Tensor&));

// Error(kInternal) when segments and tensors do not fit each other, a position is outside the
// model, or the cache has another number of sequences, no room, or does not end where the new
// tokens begin.
void CheckInput(const PackedInput& input, const ModelConfig& config, const KvCache* cache);
// Every sequence of the cache grows by its segment: after all layers have written.
void AdvanceCache(const PackedInput& input, KvCache& cache);

// The families. COLLECTIVE (ModelStorage::Allocate).
std::unique_ptr<Model> BuildGpt2(const ModelConfig& config, ModelStorage& storage);
std::unique_ptr<Model> BuildLlama(const ModelConfig& config, ModelStorage& storage);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_MODEL_DECODER_H_
