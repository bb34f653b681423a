// Pure. A generated text → its answers under a task's filters → metrics.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_ANSWER_SCORER_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_ANSWER_SCORER_H_

#include <string>
#include <vector>

#include "data_pipeline/answer_filters.h"
#include "data_pipeline/task.h"
#include "trainer/prompt_eval/metrics.h"

namespace breakeven {

// What exact_match forgives: the task's own word, else the run's.
const ExactMatchConfig& ExactMatchOf(const TaskConfig& task, const ExactMatchConfig& of_run);

class AnswerScorer {
 public:
  AnswerScorer(const TaskConfig& task, const ExactMatchConfig& of_run);

  // exact_match, f1 and rouge_l (text_metrics.h) of each pipeline's answer; of several right answers the one that fits
  // best counts. `prediction` is the first pipeline's answer.
  DocumentOutcome Score(const DocumentRequests& document, const std::string& text) const;

 private:
  struct Named {
    std::string suffix;  // behind a metric's name
    AnswerFilters filters;
  };
  std::vector<Named> pipelines_;
  std::vector<std::string> metrics_;  // without suffix
  ExactMatchConfig exact_match_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_ANSWER_SCORER_H_
