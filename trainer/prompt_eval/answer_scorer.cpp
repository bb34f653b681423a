// Pure.
#include "trainer/prompt_eval/answer_scorer.h"

#include <algorithm>

#include "trainer/prompt_eval/text_metrics.h"

namespace breakeven {

const ExactMatchConfig& ExactMatchOf(const TaskConfig& task, const ExactMatchConfig& of_run) {
  return task.exact_match.has_value() ? *task.exact_match : of_run;
}

AnswerScorer::AnswerScorer(const TaskConfig& task, const ExactMatchConfig& of_run)
    : exact_match_(ExactMatchOf(task, of_run)) {
  for (const AnswerPipelineConfig& pipeline : task.filter_list) {
    const bool several = task.filter_list.size() > 1;
    pipelines_.push_back({several ? "," + pipeline.name : "", AnswerFilters(pipeline)});
  }
  if (pipelines_.empty()) pipelines_.push_back({"", AnswerFilters(AnswerPipelineConfig{})});
  TaskConfig one = task;
  one.filter_list.clear();
  metrics_ = EvalMetrics(one);
}

DocumentOutcome AnswerScorer::Score(const DocumentRequests& document,
                                    const std::string& text) const {
  DocumentOutcome outcome;
  outcome.target = document.target;
  std::vector<std::string> targets = document.targets;
  if (targets.empty()) targets.push_back(document.target);
  for (const Named& pipeline : pipelines_) {
    const std::string answer = pipeline.filters.Apply(text, document.field_choices);
    if (&pipeline == &pipelines_.front()) outcome.prediction = answer;
    for (const std::string& metric : metrics_) {
      double best = 0;
      for (const std::string& target : targets) {
        const double score =
            metric == "f1"        ? SquadF1(answer, target)
            : metric == "rouge_l" ? RougeL(answer, target)
            : NormaliseForMatch(answer, exact_match_) == NormaliseForMatch(target, exact_match_)
                ? 1
                : 0;
        best = std::max(best, score);
      }
      outcome.metrics[metric + pipeline.suffix] = best;
    }
  }
  if (outcome.prediction != text) outcome.generated = text;
  return outcome;
}

}  // namespace breakeven
