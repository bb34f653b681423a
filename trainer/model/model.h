// A causal language model over packed, ragged input. Needs ATen; facades for launch are elsewhere
// (training_run.h, prompt_eval/evaluation.h).
//
// Shape suffixes: T tokens of a micro-batch, C hidden size, H heads, K key/value heads, D head
// size, V vocabulary rows, R rows that carry loss.
//
// Gradients. Set parameter.tensor.mutable_grad() to views of a flat gradient buffer (ViewOf in
// flat_parameters.h) before the first backward: the functions of trainer/autograd then write into
// these views and hand autograd nothing. They add to what is there, or while gradient_sink().overwrites
// replace it: a backward then leaves its own gradient alone, but for lookups in the token table, which
// are added always (to what the tied head has written; a table of its own must be zeroed before). So a "gradient is ready" hook belongs on the parameter's
// AccumulateGrad node (impl::grad_accumulator(tensor)->add_post_hook, keep the node alive): it runs
// once per backward, after the last contribution, also for a tied embedding. A
// PostAccumulateGradHook would never run.
#ifndef BREAKEVEN_TRAINER_MODEL_MODEL_H_
#define BREAKEVEN_TRAINER_MODEL_MODEL_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "trainer/autograd/linear.h"
#include "trainer/model/model_config.h"

namespace breakeven {

// Segments laid end to end. All tensors on the model's device.
struct PackedInput {
  at::Tensor tokens_T;                  // int64
  at::Tensor positions_T;               // int64
  std::vector<int64_t> segment_starts;  // [B+1] on the host
  // int64, ascending, no doubles: the only rows whose hidden states are wanted. Undefined: all. Where
  // few tokens carry loss, most of the last layer is left out.
  at::Tensor rows_R = {};
  // segment_starts as int32 on the model's device, for GPUs: PackedAttention says why. May be undefined.
  at::Tensor starts_B = {};
  int64_t num_tokens() const { return segment_starts.empty() ? 0 : segment_starts.back(); }
  int64_t num_segments() const { return static_cast<int64_t>(segment_starts.size()) - 1; }
};

struct NamedParameter {
  std::string name;     // as in the Hugging Face checkpoint of the family
  at::Tensor tensor;    // float32 view of the flat parameter buffer; requires grad while training
  bool decays = false;  // weight decay applies: matrices and embeddings, not norms and biases
};

// Keys and values of one sequence batch during generation; see kv_cache.h.
class KvCache;

// What a differentiable forward pass keeps for its backward.
enum class Recompute {
  kNone,       // everything
  kSelective,  // not what norms and activations put out: cheap to compute again, no matrix product
  kFull        // the residual stream in front of every block
};

class Model {
 public:
  virtual ~Model() = default;

  virtual const ModelConfig& config() const = 0;
  // Every parameter once (a tied head is not listed). The later one stands, the sooner its gradient
  // is complete: blocks in forward order, final norm, head, and last the token table, whose
  // gradient is complete before backward begins (tied: from the head) but for the rows of
  // lookup_gradient().
  virtual std::vector<NamedParameter>& parameters() = 0;

  // Hidden states after the final norm, [T, C] or [R, C] of input.rows_R, differentiable with respect to the parameters.
  // Attention is causal within a segment and never crosses one. T may be 0. Gradients are prepared
  // only while c10::GradMode is enabled and parameters require them; score under c10::InferenceMode
  // or c10::NoGradGuard. In ModelStorage::product_type.
  virtual at::Tensor HiddenStates(const PackedInput& input) = 0;

  // The same for new tokens behind a cache, no gradient: segment b (which may be empty) continues
  // sequence b of the cache and is appended to it. positions_T must go on from cache.length(b).
  virtual at::Tensor HiddenStates(const PackedInput& input, KvCache& cache) = 0;

  // [V, C]; the embedding itself when tied.
  virtual at::Tensor HeadWeight() = 0;
  // What products read of it where that is not float32, else undefined (ModelStorage::product_type).
  virtual at::Tensor HeadCopy() = 0;
  // [V, C], in the type of hidden states.
  at::Tensor HeadOfProducts() {
    const at::Tensor copy_VC = HeadCopy();
    return copy_VC.defined() ? copy_VC : HeadWeight();
  }

  // The table that tokens are looked up in, one of parameters(), [V, C].
  virtual const at::Tensor& TokenTable() = 0;
  // Armed: the next backward leaves the table's lookup gradient here instead of adding it.
  virtual LookupGradient& lookup_gradient() = 0;

  GradientSink& gradient_sink() { return gradient_sink_; }

  // Losses and gradients are the same bits in every mode.
  void set_recompute(Recompute recompute) { recompute_ = recompute; }
  Recompute recompute() const { return recompute_; }

 private:
  Recompute recompute_ = Recompute::kNone;
  GradientSink gradient_sink_;
};

// Builds the model of config.model_type with parameters as views of storage.parameters_P, zeroed,
// requires_grad set. COLLECTIVE (Allocate). `storage` must outlive the model.
struct ModelStorage;  // owns the flat buffer and its Memory: trainer/model/flat_parameters.h
std::unique_ptr<Model> BuildModel(const ModelConfig& config, ModelStorage& storage);

// Fills the parameters from a Hugging Face folder: model.safetensors or the sharded index; F32,
// F16, BF16. Validated tensor by tensor: Error(kBadData) lists what is missing, extra or misshapen,
// with found and expected.
// Where `num_parts` ranks share the memory of the weights each loads a part of every tensor; none may read before all have.
void LoadWeights(const std::string& folder, Model& model, int part = 0, int num_parts = 1);
// Of the files of weights in `folder`: device, inode, size and time of change. "" where there are none. What is equal on two ranks
// of a host is one file.
std::string IdentifyWeights(const std::string& folder);
// The same checks without reading a weight, from the files' headers alone: needs no memory for them.
void CheckWeights(const std::string& folder, const ModelConfig& config);

// Initialisation as transformers' for the family (normal(0, initializer_range); GPT-2 scales
// residual projections by 1/sqrt(2·layers)); a function of (seed, parameter name, element) only.
void InitializeWeights(Model& model, uint64_t seed);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_MODEL_MODEL_H_
