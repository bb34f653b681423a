#include "trainer/prompt_eval/trunk_cache.h"

#include <c10/core/InferenceMode.h>

#include <vector>

#include "comm/base/timing.h"
#include "trainer/prompt_eval/packing.h"
#include "trainer/tensor_bridge.h"

namespace breakeven {
namespace {

std::unique_ptr<KvCache> RunTrunk(Model& model, const ScoreTrunk& tokens) {
  const c10::InferenceMode inference;
  const at::TensorOptions options = model.HeadOfProducts().options();
  SegmentPacker packer;
  packer.Add(tokens, 0);
  auto cache = std::make_unique<KvCache>(model.config(), 1, std::ssize(tokens), options);
  PackedInput input = packer.Pack(options.device());
  input.rows_R =
      IndexTensor({std::ssize(tokens) - 1}, options.device());  // nobody asks for these rows
  WithDeviceMemory("use fewer or shorter shots, or set precision: bfloat16",
                   [&] { model.HiddenStates(input, *cache); });
  AwaitCompute(options.device());  // so that its time is its own
  return cache;
}

}  // namespace

const KvCache* TrunkCache::Of(const ScoreBatch& batch) {
  if (batch.trunk == number_) return held_.get();
  const Stopwatch watch;
  held_ = RunTrunk(model_, trunks_[batch.trunk]);
  number_ = batch.trunk;
  seconds_ += watch.Seconds();
  return held_.get();
}

std::unique_ptr<KvCache> CacheBehind(const KvCache* trunk, Model& model, int64_t count,
                                     int64_t max_tokens) {
  if (trunk == nullptr) {
    return std::make_unique<KvCache>(model.config(), count, max_tokens,
                                     model.HeadOfProducts().options());
  }
  return std::make_unique<KvCache>(model.config(), *trunk,
                                   std::vector<int64_t>(static_cast<size_t>(count), 0), max_tokens);
}

}  // namespace breakeven
