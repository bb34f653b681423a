// Pure. Which requests run together. Every rank computes the same list of batches from the complete
// list of documents and deals them out whole, so what a batch computes depends on neither the
// number of ranks nor the rank.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_SCORE_PLAN_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_SCORE_PLAN_H_

#include <cstdint>
#include <span>
#include <vector>

#include "trainer/prompt_eval/requests.h"

namespace breakeven {

// Requests of one document that begin with the same tokens: these are fed once, what differs behind
// them.
struct ScoreUnit {
  int64_t document = 0;
  std::vector<int64_t> parts;  // indices into the document's requests
  // Shared tokens at the start of every part; at least 1. The last token of a request is never fed,
  // so this is at most the shortest part's size − 1. It may reach into the continuations, and its
  // last token predicts a scored one.
  int64_t prefix_tokens = 0;
  int64_t trunk = -1;      // index into ScorePlan::trunks; -1 = none
  int64_t fed_tokens = 0;  // prefix behind the trunk once + the rest of each part
};

// What many documents' prompts begin with: instructions and fixed shots. Fed once by each rank that has
// a batch of it. No token in it is scored, and none of its rows predicts a scored one.
using ScoreTrunk = std::vector<int32_t>;

// Units of one trunk.
struct ScoreBatch {
  int64_t trunk = -1;
  std::vector<int64_t> units;
  int64_t fed_tokens = 0;
  double cost = 0;  // predicted, in any unit
};

struct BatchPlan {
  std::vector<ScoreTrunk> trunks;
  // By trunk; then longest units first: what does not fit into memory fails at the start.
  std::vector<ScoreBatch> batches;
};

struct ScorePlan : BatchPlan {
  std::vector<ScoreUnit> units;
};

// What of the documents' tokens is fed once: only what a document's own requests begin with (a server without a prefix
// cache), or also what many documents begin with.
enum class PrefixSharing { kWithinDocument, kAcrossDocuments };

// `batch_tokens` bounds a batch's fed tokens; a longer unit stands alone. Where there is too little
// for many such batches they are smaller, so that it can be dealt out evenly.
ScorePlan PlanScoring(std::span<const DocumentRequests> documents, int64_t batch_tokens,
                      PrefixSharing sharing = PrefixSharing::kAcrossDocuments);

// Of all batches, and of the trunks once.
int64_t FedTokens(const BatchPlan& plan);

// The rank of each batch: the next most expensive one to the rank that has least to do, the lowest
// such rank.
std::vector<int> DealBatches(std::span<const ScoreBatch> batches, int world_size);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_SCORE_PLAN_H_
