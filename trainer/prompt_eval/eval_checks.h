// Pure. What is looked at in documents and prompts before anything is scored.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_EVAL_CHECKS_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_EVAL_CHECKS_H_

#include <map>
#include <span>
#include <string>
#include <vector>

#include "data_pipeline/example_renderer.h"
#include "data_pipeline/split_overlap.h"
#include "trainer/prompt_eval/eval_config.h"
#include "trainer/prompt_eval/eval_documents.h"

namespace breakeven {

// Prompts that show the answer they ask for (data_pipeline/answer_leak.h) on these documents: Error(kBadData) naming file,
// variant and example; with `allowed`, a sentence for each instead.
std::vector<std::string> CheckAnswers(const TaskConfig& task,
                                      std::span<const PromptConfig> variants,
                                      const ChatFormat& chat, const EvalDocuments& documents,
                                      bool allowed);

// The documents as splits are compared by them: context and target as `renderer` renders them.
ComparedSplit CompareDocuments(const ExampleRenderer& renderer, const EvalDocuments& documents,
                               bool near, int num_threads);

// Documents that stand both in a scored split and among the shots of a variant: a sentence for each pair of splits that
// shares texts, groups or near duplicates; Error(kBadData) where it is more than config.overlap.max_near_share.
std::vector<std::string> CheckShots(const EvalConfig& config,
                                    const std::map<std::string, EvalDocuments>& data,
                                    const ChatFormat& chat, int num_threads);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_EVAL_CHECKS_H_
