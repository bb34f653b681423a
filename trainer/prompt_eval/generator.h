// Texts that a model goes on with: the second of the two calls that a model is for evaluation.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_GENERATOR_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_GENERATOR_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "comm/control.h"
#include "data_pipeline/tokenizer/tokenizer.h"
#include "trainer/model/kv_cache.h"
#include "trainer/model/model.h"
#include "trainer/prompt_eval/sampling.h"
#include "trainer/prompt_eval/score_plan.h"

namespace breakeven {

inline constexpr int64_t kMaxGenerationBatch = 16;

struct GenerateOptions {
  int64_t max_new_tokens = 64;
  std::vector<std::string> until;  // stop texts
  std::vector<int32_t> stop_ids;   // end-of-text tokens
  SamplingOptions sampling;
  uint64_t seed = 0;  // a draw is a function of (seed, number of the prompt, number of the token)
  int64_t batch_prompts = kMaxGenerationBatch;  // at most, side by side
  int64_t max_length = 0;  // prompt and new tokens together; 0 = the model's positions
};

struct GeneratedText {
  std::vector<int32_t> tokens;  // new ids, the end-of-text token included
  std::string text;             // without special tokens, cut at the stop texts
  bool stopped = false;         // by an end-of-text token or a stop text; else by length
};

struct GenerateResult {
  std::vector<GeneratedText> texts;  // by prompt
  int64_t fed_tokens = 0;            // of all ranks; what prompts share counts once
  double compute_seconds = 0;        // summed over ranks
  double trunk_seconds = 0;          // of it, on this rank, in what prompts share
};

// COLLECTIVE. Batches of at most options.batch_prompts prompts and about `batch_tokens` prompt tokens
// are cut from the complete list (PlanGeneration) and dealt whole; every rank returns all. Prompts
// have at least one token and leave room for one more: Error(kUsage) names the first that does not.
// What many prompts begin with is fed once by each rank that has a batch of it, unless `sharing` forbids it. `on_batch(prompts)`
// after each of this rank's batches.
GenerateResult GenerateTexts(Model& model, const Tokenizer& tokenizer, Control& control,
                             std::span<const std::vector<int32_t>> prompts,
                             const GenerateOptions& options, int64_t batch_tokens,
                             const std::function<void(int64_t)>& on_batch = {},
                             PrefixSharing sharing = PrefixSharing::kAcrossDocuments);

// The prompts of one batch, in order; `numbers` are theirs in the complete list. They begin with what `trunk` holds (nullptr:
// nothing), and go on behind it.
std::vector<GeneratedText> GenerateBatch(Model& model, const Tokenizer& tokenizer,
                                         std::span<const std::vector<int32_t>> prompts,
                                         std::span<const int64_t> numbers,
                                         const GenerateOptions& options, const KvCache* trunk,
                                         int64_t& fed_tokens);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_GENERATOR_H_
