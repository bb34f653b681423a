// One arm: a model under a variant on a split, from templates to records.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_ARM_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_ARM_H_

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "comm/world.h"
#include "trainer/prompt_eval/calibration.h"
#include "trainer/prompt_eval/eval_config.h"
#include "trainer/prompt_eval/eval_documents.h"
#include "trainer/prompt_eval/evaluation.h"
#include "trainer/prompt_eval/generator.h"
#include "trainer/prompt_eval/loaded_model.h"
#include "trainer/prompt_eval/requests.h"
#include "trainer/prompt_eval/score_plan.h"

namespace breakeven {

// Every split that the config scores or draws shots from, by name; "samples" are the task's fewshot_samples.
using EvalData = std::map<std::string, EvalDocuments>;
EvalData ReadEvalData(const EvalConfig& config, int num_threads);
// Of `split` the documents at `places` alone, in that order; other splits whole.
EvalData PartOf(const EvalData& data, const std::string& split, std::span<const int64_t> places);

// What is asked of a model, all of it before the first forward pass.
struct ArmRequests {
  std::string template_hash;
  std::vector<std::string> groups;  // of each document; "" = none
  std::vector<DocumentRequests> documents;
  CalibrationRequests calibration;
};
ArmRequests BuildArmRequests(const EvalConfig& config, const PromptConfig& variant,
                             const EvalData& data, const std::string& split,
                             const LoadedModel& model);

// What can change an arm's scores on given documents: weights, config.json, tokenizer, templates, shots and the
// task's rules. The split that is asked is not in it, nor names, paths, batches and threads.
std::string ArmHash(const EvalConfig& config, const PromptConfig& variant, const EvalData& data,
                    const LoadedModel& model);

// What GenerateArm will feed of the prompts; a new token costs one more.
BatchPlan PlanGenerationOf(const EvalConfig& config, const ArmRequests& requests,
                           PrefixSharing sharing);
// COLLECTIVE. The texts that the model goes on with, under the task's and the variant's options.
GenerateResult GenerateArm(const EvalConfig& config, const PromptConfig& variant,
                           const ArmRequests& requests, LoadedModel& model, World& world,
                           const std::function<void(int64_t)>& on_batch,
                           PrefixSharing sharing = PrefixSharing::kAcrossDocuments);

struct ArmResult {
  ArmSummary summary;
  std::string records;  // lines, in order of the documents
  std::string hash;     // ArmHash
};
// COLLECTIVE. The same on every rank. A rank that was signalled leaves its remaining batches out; all
// throw Error(kSavedRequeue) where the scores are brought together.
ArmResult ScoreArm(const EvalConfig& config, const PromptConfig& variant, const EvalData& data,
                   const std::string& split, LoadedModel& model, World& world,
                   PrefixSharing sharing = PrefixSharing::kAcrossDocuments);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_ARM_H_
