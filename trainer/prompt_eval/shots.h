// Pure. Which solved examples a prompt shows before the question.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_SHOTS_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_SHOTS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data_pipeline/task.h"

namespace breakeven {

// What samplers that look at texts need of them; empty for the others.
struct ShotTexts {
  std::vector<std::string> labels;     // balanced: the right answer of each entry of the pool
  std::vector<std::string> questions;  // nearest: the question of each entry
  std::vector<std::string> asked;      // nearest: the question of each document
};

// For each document asked, the numbers of its shots in the pool, in the order in which the prompt
// shows them. `pool_size` documents to draw from; `is_document(shot, document)`: the pool's entry
// is the document asked, and must not be shown.
//   first_n        the first entries of the pool.
//   fixed          one set for all documents: a function of fewshot_seed alone (counter-based).
//   balanced       the same, right answers taking turns (NestedOrder).
//   nearest        of each document the entries that are most alike by BM25, ties by number; the nearest stands last.
//   per_doc        lm-evaluation-harness's: one CPython Random(seed), advanced document by document
//                  (lm_eval/api/samplers.py).
//   per_doc_spare  its draw where its shots and questions are of one split, or of no named one: one more is drawn, and the
//                  document itself left out.
// A document that its own draw contains gets the next entry of the same draw in its place.
// Error(kUsage) when the pool is too small, naming the variant.
std::vector<std::vector<int64_t>> DrawShots(
    const PromptConfig& prompt, int64_t pool_size, int64_t num_documents,
    const std::function<bool(int64_t shot, int64_t document)>& is_document,
    const ShotTexts& texts = {});

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_SHOTS_H_
