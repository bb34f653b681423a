// Log-likelihoods of continuations: the first of the two calls that a model is for evaluation.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_SCORER_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_SCORER_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "comm/control.h"
#include "trainer/model/model.h"
#include "trainer/prompt_eval/score_plan.h"

namespace breakeven {

struct ScoreResult {
  std::vector<std::vector<RequestScore>> documents;  // [document][request]
  // To the model, trunks once: whatever the number of ranks (each runs the trunks of its batches).
  int64_t fed_tokens = 0;
  double compute_seconds = 0;  // in batches, summed over ranks
  double trunk_seconds = 0;    // of it, on this rank, in the trunks themselves
};

// One batch, without gradients, behind its trunk's keys and values (nullptr: it has none). Every unit's
// prefix runs once; what differs reads the prefix's keys and values where they lie. A function of the
// batch's and the trunk's tokens alone (on one machine with one number of threads). Scores in order of
// units, parts.
std::vector<std::vector<RequestScore>> ScoreBatchUnits(Model& model, const ScorePlan& plan,
                                                       const ScoreBatch& batch,
                                                       std::span<const DocumentRequests> documents,
                                                       const KvCache* trunk = nullptr);

// COLLECTIVE, but no rank waits for another before all have done their batches. The result is the
// same on every rank, and bit-equal for any number of ranks with the same threads per rank.
// `on_batch(units)` after each of this rank's batches.
ScoreResult LogLikelihood(Model& model, Control& control,
                          std::span<const DocumentRequests> documents, int64_t batch_tokens,
                          const std::function<void(int64_t)>& on_batch = {},
                          PrefixSharing sharing = PrefixSharing::kAcrossDocuments);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_SCORER_H_
