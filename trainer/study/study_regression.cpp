#include "trainer/study/study_regression.h"

#include "comm/base/error.h"
#include "trainer/prompt_eval/eval_checks.h"

namespace breakeven {
namespace {

// What two tasks' documents are compared by. Groups are not: keys of two tasks mean different things. Nor is what ends an
// answer in training.
ComparedSplit TextsOf(const TaskConfig& task, const PromptConfig& prompt, const ChatFormat& chat,
                      const EvalDocuments& documents, bool near, int num_threads) {
  TaskConfig alone = task;
  alone.group_key.clear();
  PromptConfig plain = prompt;
  plain.end_of_target.clear();
  return CompareDocuments(ExampleRenderer(alone, plain, chat), documents, near, num_threads);
}

void CheckApart(const StudyConfig& config, const ScoringSet& set, const ChatFormat& chat,
                int num_threads, StudyData& data) {
  const bool near = config.overlap.near_similarity > 0;
  std::vector<ComparedSplit> splits;
  for (const EvalDocuments* seen : {&data.train, &data.dev}) {
    splits.push_back(TextsOf(config.task, config.training_prompt, chat, *seen, near, num_threads));
  }
  const TaskConfig& task = set.config.task;
  const std::string& split = set.config.split;
  splits.push_back(
      TextsOf(task, config.regression->prompt, chat, set.data.at(split), near, num_threads));
  splits.back().name = task.name + " " + split;
  const auto counts = [&](const Overlap& overlap) {
    return overlap.split == &splits.back() && !overlap.lines.empty();
  };
  for (const Overlap& overlap : FindShared(splits)) {
    if (!counts(overlap)) continue;
    throw Error(ErrorKind::kBadData,
                "the regression set overlaps: " + DescribeOverlap(overlap) +
                    ". What a model was tuned on does not show what it lost: take them out");
  }
  for (const Overlap& overlap : FindNear(splits, config.overlap, num_threads)) {
    if (!counts(overlap)) continue;
    RefuseOverlap(overlap, config.overlap);
    data.cautions.push_back("The regression set overlaps a little: " + DescribeOverlap(overlap) +
                            ".");
  }
}

}  // namespace

ScoringSet ReadRegression(const StudyConfig& config, const ChatFormat& chat, int num_threads,
                          StudyData& data) {
  ScoringSet set{config.RegressionScoring(), {}, "regression:"};
  set.data = ReadEvalData(set.config, num_threads);
  for (std::string& sentence :
       CheckAnswers(set.config.task, EvalVariants(set.config), chat, set.data.at(set.config.split),
                    set.config.allow_answer_in_prompt)) {
    data.cautions.push_back("Regression set: " + sentence);
  }
  for (const std::string& sentence : CheckShots(set.config, set.data, chat, num_threads)) {
    data.cautions.push_back("Regression set: " + sentence + ".");
  }
  CheckApart(config, set, chat, num_threads, data);
  return set;
}

}  // namespace breakeven
