#include "trainer/model/kv_cache.h"

#include <string>

#include "comm/base/error.h"

namespace breakeven {

KvCache::KvCache(const ModelConfig& config, int64_t num_sequences, int64_t max_tokens,
                 const at::TensorOptions& options)
    : max_tokens_(max_tokens), num_kv_heads_(config.num_kv_heads), head_dim_(config.head_dim) {
  const std::vector<int64_t> shape = {config.num_layers, num_sequences, max_tokens,
                                      config.num_kv_heads, config.head_dim};
  keys_LBMKD_ = at::empty(shape, options);
  values_LBMKD_ = at::empty(shape, options);
  lengths_.assign(static_cast<size_t>(num_sequences), 0);
}

KvCache::KvCache(const ModelConfig& config, const KvCache& parent, std::vector<int64_t> parents,
                 int64_t max_tokens)
    : KvCache(config, static_cast<int64_t>(parents.size()), max_tokens,
              parent.keys_LBMKD_.options()) {
  for (int64_t of : parents) BE_CHECK(of >= 0 && of < parent.num_sequences(), std::to_string(of));
  parent_ = &parent;
  parents_ = std::move(parents);
}

void KvCache::Write(int64_t layer, int64_t first, int64_t count, const at::Tensor& keys_NX,
                    const at::Tensor& values_NX) {
  if (count == 0) return;
  const int64_t num_tokens = keys_NX.size(0) / count;
  const int64_t begin = own_length(first);
  BE_CHECK(begin + num_tokens <= max_tokens_, std::to_string(begin + num_tokens) + " tokens");
  const auto write = [&](const at::Tensor& all, const at::Tensor& rows) {
    all.select(0, layer)
        .narrow(0, first, count)
        .narrow(1, begin, num_tokens)
        .copy_(rows.unflatten(1, {num_kv_heads_, head_dim_}).unflatten(0, {count, num_tokens}));
  };
  write(keys_LBMKD_, keys_NX);
  write(values_LBMKD_, values_NX);
}

at::Tensor KvCache::Keys(int64_t layer, int64_t first, int64_t count, int64_t length) const {
  return keys_LBMKD_.select(0, layer).narrow(0, first, count).narrow(1, 0, length).transpose(1, 2);
}

at::Tensor KvCache::Values(int64_t layer, int64_t first, int64_t count, int64_t length) const {
  return values_LBMKD_.select(0, layer)
      .narrow(0, first, count)
      .narrow(1, 0, length)
      .transpose(1, 2);
}

void KvCache::Advance(int64_t b, int64_t num_tokens) {
  lengths_[static_cast<size_t>(b)] += num_tokens;
}

}  // namespace breakeven
