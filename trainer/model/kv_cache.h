// Keys and values of B sequences, so that new tokens need not run the old ones again.
//
//   KvCache cache(model.config(), num_prompts, longest + max_new_tokens, options);
//   hidden_TC = model.HiddenStates(all_prompts, cache);  // segment b begins sequence b
//   hidden_BC = model.HiddenStates(one_each, cache);     // a step; a finished one's segment is empty
//
// Shape suffixes: L layers, B sequences, M room in tokens, K key/value heads, D head size.
#ifndef BREAKEVEN_TRAINER_MODEL_KV_CACHE_H_
#define BREAKEVEN_TRAINER_MODEL_KV_CACHE_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "trainer/model/model_config.h"

namespace breakeven {

class KvCache {
 public:
  // Room for max_tokens tokens in each of num_sequences sequences, all empty. 2·L·K·D elements a
  // token, touched only as tokens arrive. `options`: device and type of the model's products
  // (Model::HeadOfProducts()).
  KvCache(const ModelConfig& config, int64_t num_sequences, int64_t max_tokens,
          const at::TensorOptions& options);
  // Sequence b goes on behind sequence parents[b] of `parent`, which is read and never copied, and must
  // outlive this cache unchanged: a tree of shared prompts, each run once. Sequences with the same
  // parent are neighbours. Room for max_tokens tokens of each one's own.
  KvCache(const ModelConfig& config, const KvCache& parent, std::vector<int64_t> parents,
          int64_t max_tokens);
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;

  int64_t num_sequences() const { return static_cast<int64_t>(lengths_.size()); }
  int64_t max_tokens() const { return max_tokens_; }
  // Tokens that sequence b holds: the next token's position.
  int64_t length(int64_t b) const { return own_length(b) + parent_length(b); }
  // Of these, what is not in the parent.
  int64_t own_length(int64_t b) const { return lengths_[static_cast<size_t>(b)]; }
  const KvCache* parent() const { return parent_; }
  // Sequence of parent() that b goes on behind.
  int64_t parent_of(int64_t b) const { return parents_[static_cast<size_t>(b)]; }

  // For the models: `count` neighbouring sequences from `first` on that hold equally much. Write
  // puts rows [count · new tokens, K·D] of one layer behind what they hold; lengths grow in Advance
  // only, when all layers are written. Error(kInternal) beyond max_tokens.
  void Write(int64_t layer, int64_t first, int64_t count, const at::Tensor& keys_NX,
             const at::Tensor& values_NX);
  // Views [count, K, length, D] over their first `length` own tokens.
  at::Tensor Keys(int64_t layer, int64_t first, int64_t count, int64_t length) const;
  at::Tensor Values(int64_t layer, int64_t first, int64_t count, int64_t length) const;
  void Advance(int64_t b, int64_t num_tokens);

 private:
  int64_t parent_length(int64_t b) const {
    return parent_ == nullptr ? 0 : parent_->length(parent_of(b));
  }

  const KvCache* parent_ = nullptr;
  std::vector<int64_t> parents_;
  int64_t max_tokens_;
  int64_t num_kv_heads_;
  int64_t head_dim_;
  at::Tensor keys_LBMKD_;
  at::Tensor values_LBMKD_;
  std::vector<int64_t> lengths_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_MODEL_KV_CACHE_H_
