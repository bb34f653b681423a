// Pure. Search among prompts by successive halving (Jamieson & Talwalkar 2016): all candidates on a few documents, the
// better half on more, and so on, within a budget of documents.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_PROMPT_SEARCH_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_PROMPT_SEARCH_H_

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "data_pipeline/task.h"
#include "trainer/prompt_eval/prompt_search_config.h"

namespace breakeven {

// The variants, each of those that draw their shots `shot_sets` times: with its own seed, and with the following ones as
// "NAME-set2", "NAME-set3", … (random restarts).
std::vector<PromptConfig> SearchCandidates(const PromptSearchConfig& config,
                                           std::span<const PromptConfig> variants);

// What a search has learned, by "begin-end/candidate", and what that took.
struct SearchScores {
  std::map<std::string, double> scores;
  double seconds = 0;  // wall clock of the scores, over restarts
  double tokens = 0;   // fed to the model
};

// Documents begin … end of the shuffled split, asked of each candidate that is still in.
struct SearchRung {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t num_candidates = 0;
};

// The rungs of a search: the candidates are halved after each until `keep` are left. Every rung may take an equal part of
// the budget; earlier documents are not asked again. At least one document a rung, and no more than there are: a rung
// that would add none is left out. Empty when there is nothing to choose: no more candidates than `keep`.
// Error(kUsage) when the budget does not give every candidate a document.
std::vector<SearchRung> SearchPlan(const PromptSearchConfig& config, int64_t num_candidates,
                                   int64_t num_documents);

struct PromptSearchResult {
  std::vector<PromptConfig> kept;  // in the candidates' order
  int64_t num_tried = 0;           // candidates
  int64_t num_documents = 0;       // asked, over all candidates
};

// The mean score of a candidate over documents begin … end of the shuffled split.
using ScoreRung = std::function<double(const PromptConfig& candidate, int64_t begin, int64_t end)>;

// A function of config, variants and scores: of equals the earlier candidate stays; a score that is not a number is the
// worst.
PromptSearchResult SearchPrompts(const PromptSearchConfig& config,
                                 std::span<const PromptConfig> variants, int64_t num_documents,
                                 bool lower_is_better, const ScoreRung& score);

// Place in the shuffled split → number of the document.
std::vector<int64_t> SearchOrder(const PromptSearchConfig& config, int64_t num_documents);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_PROMPT_SEARCH_H_
