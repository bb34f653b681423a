// Keys and values of what many prompts begin with.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_TRUNK_CACHE_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_TRUNK_CACHE_H_

#include <cstdint>
#include <memory>
#include <span>

#include "trainer/model/kv_cache.h"
#include "trainer/model/model.h"

namespace breakeven {

// One sequence that holds `tokens`, for caches that go on behind it. Waits for the device, so that its time is its own.
std::unique_ptr<KvCache> RunTrunk(Model& model, std::span<const int32_t> tokens);

// A cache for `count` sequences of at most `max_tokens` tokens each behind `trunk`, which must outlive it; nullptr: none.
std::unique_ptr<KvCache> CacheBehind(const KvCache* trunk, Model& model, int64_t count,
                                     int64_t max_tokens);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_TRUNK_CACHE_H_
