// Scores arms of a study, each once: what a former process has scored is taken from its part file. Needs ATen.
#ifndef BREAKEVEN_TRAINER_STUDY_STUDY_SCORING_H_
#define BREAKEVEN_TRAINER_STUDY_STUDY_SCORING_H_

#include <string>
#include <vector>

#include "comm/world.h"
#include "trainer/precision.h"
#include "trainer/prompt_eval/arm.h"
#include "trainer/study/study_config.h"
#include "trainer/study/study_progress.h"
#include "trainer/study/study_state.h"

namespace breakeven {

// The state of a study and where it is kept. Every rank holds the same.
class StudyStore {
 public:
  // COLLECTIVE. Reads RUN/study_state.json, if it is there. Error(kUsage) when it is of another fingerprint.
  StudyStore(const std::string& run_folder, const std::string& fingerprint, World& world);
  void Save();  // COLLECTIVE. Rank 0 writes
  // COLLECTIVE. Resolves the precisions of scoring and of training in `config`; what auto meant at the start of the
  // study holds, on this machine too. `own`: what this rank is like. Error(kUsage) where another one is asked for than
  // the study was begun in; Error(kMachine) where that one is not to be had (AgreeOnPrecision). Saves a state that an
  // older program began.
  void KeepPrecisions(StudyConfig& config, const BFloat16Support& own);
  const std::string& folder() const { return folder_; }
  std::string PartPath(const std::string& key) const { return folder_ + "/" + PartFile(key); }

  StudyState state;

 private:
  const std::string folder_;
  World& world_;
};

// What is asked: one task with its documents.
struct ScoringSet {
  EvalConfig config;
  EvalData data;
  std::string prefix;  // of the arms' keys: tells the regression set apart

  std::string Key(const std::string& split, const std::string& model,
                  const std::string& variant) const {
    return ArmKey(prefix + split, model, variant);
  }
};

// `data` with documents begin … end of dev alone; other splits whole.
EvalData DevPart(const EvalData& data, int64_t begin, int64_t end);

// What asking an arm's requests costs, in tokens of a forward pass: those that the scorer's plan feeds (what requests begin
// with, once); of generation the prompts' alone, likewise.
double RequestTokens(const EvalConfig& config, const ArmRequests& requests,
                     PrefixSharing sharing = PrefixSharing::kAcrossDocuments);

// Likewise what StudyScorer::TimeServing asks.
double ServingTokens(const EvalConfig& config, const ArmRequests& requests, int64_t num_documents);

class StudyScorer {
 public:
  StudyScorer(const ScoringSet& set, StudyStore& store, StudyProgress& progress, World& world)
      : set_(set), store_(store), progress_(progress), world_(world) {}

  // COLLECTIVE. Every method. Scores the variants that are not scored yet; the model is loaded only if there is one.
  // Error(kBadData) where the deciding metric is not a number.
  void Score(const std::string& model, const std::string& folder,
             const std::vector<PromptConfig>& variants, const std::string& split);
  const ArmState& At(const std::string& split, const std::string& model,
                     const std::string& variant) const;
  double ScoreOf(const std::string& split, const std::string& model,
                 const std::string& variant) const;
  // Does nothing where it was done before. `tokens`: what it costs (ServingTokens). Asks dev's first `num_documents` again in batches, to time what a query takes: with its whole prompt, and where
  // texts are scored also behind a prefix that all share and that was read before.
  void TimeServing(const std::string& model, const std::string& folder, const PromptConfig& variant,
                   int64_t num_documents, double tokens);

 private:
  void ScoreOne(LoadedModel& model, const PromptConfig& variant, const std::string& split);

  const ScoringSet& set_;
  StudyStore& store_;
  StudyProgress& progress_;
  World& world_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_SCORING_H_
