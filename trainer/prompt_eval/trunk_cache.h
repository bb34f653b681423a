// Keys and values of what many prompts begin with.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_TRUNK_CACHE_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_TRUNK_CACHE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "trainer/model/kv_cache.h"
#include "trainer/model/model.h"
#include "trainer/prompt_eval/score_plan.h"

namespace breakeven {

// The trunk of the batch at hand, run when the first batch that goes on behind it comes: batches are in order of their trunks.
class TrunkCache {
 public:
  // Both must outlive it.
  TrunkCache(Model& model, const std::vector<ScoreTrunk>& trunks)
      : model_(model), trunks_(trunks) {}
  // One sequence that holds the batch's trunk; nullptr: it has none. Until the next call.
  const KvCache* Of(const ScoreBatch& batch);
  double seconds() const { return seconds_; }  // in trunks so far, the device's included

 private:
  Model& model_;
  const std::vector<ScoreTrunk>& trunks_;
  int64_t number_ = -1;
  std::unique_ptr<KvCache> held_;
  double seconds_ = 0;
};

// A cache for `count` sequences of at most `max_tokens` tokens each behind `trunk`, which must outlive it; nullptr: none.
std::unique_ptr<KvCache> CacheBehind(const KvCache* trunk, Model& model, int64_t count,
                                     int64_t max_tokens);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_TRUNK_CACHE_H_
