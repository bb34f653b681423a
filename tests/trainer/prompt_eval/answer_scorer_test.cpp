// Pure.
#include "trainer/prompt_eval/answer_scorer.h"

#include <gtest/gtest.h>

namespace breakeven {
namespace {

TaskConfig Task() {
  TaskConfig task;
  task.output_type = "generate_until";
  return task;
}

double Match(const TaskConfig& task, const ExactMatchConfig& options, const std::string& text) {
  DocumentRequests document;
  document.target = "Paris.";
  return AnswerScorer(task, options).Score(document, text).metrics.at("exact_match");
}

TEST(AnswerScorerTest, ExactMatchForgivesWhatItIsToldTo) {
  ExactMatchConfig options;
  EXPECT_EQ(Match(Task(), options, " Paris.\n"), 1);
  EXPECT_EQ(Match(Task(), options, "paris"), 0);
  options.ignore_case = true;
  options.ignore_punctuation = true;
  EXPECT_EQ(Match(Task(), options, "paris"), 1);
  options.strip = false;
  EXPECT_EQ(Match(Task(), options, " paris"), 0);
  options.ignore_numbers = true;
  EXPECT_EQ(NormaliseForMatch("A-1 É2", options), "a é");
  options.regexes_to_ignore = {"(?s).*#### ", "\\.$"};
  EXPECT_EQ(Match(Task(), options, "thought\n#### paris."), 1);
  // The task's own word stands above the run's.
  TaskConfig task = Task();
  task.exact_match = ExactMatchConfig();
  EXPECT_EQ(Match(task, options, "paris"), 0);
}

TEST(AnswerScorerTest, EachOfSeveralPipelinesHasItsMetric) {
  TaskConfig task = Task();
  AnswerFilterConfig strict;
  strict.function = "regex";
  strict.regex_pattern = "#### (\\d+)";
  AnswerFilterConfig last;
  last.function = "regex";
  last.regex_pattern = "\\d+";
  last.group_select = -1;
  task.filter_list = {{"strict", {strict}}, {"last", {last}}};
  EXPECT_EQ(EvalMetrics(task),
            (std::vector<std::string>{"exact_match,strict", "exact_match,last"}));
  DocumentRequests document;
  document.targets = {"7", "12"};
  document.target = "7";
  const DocumentOutcome outcome = AnswerScorer(task, {}).Score(document, "3 and 12");
  EXPECT_EQ(outcome.metrics.at("exact_match,strict"), 0);
  EXPECT_EQ(outcome.metrics.at("exact_match,last"), 1) << "the second of two right answers";
  EXPECT_EQ(outcome.prediction, "[invalid]");
  EXPECT_EQ(outcome.generated, "3 and 12");
  EXPECT_EQ(MetricKind("exact_match,last"), "exact_match");
}

}  // namespace
}  // namespace breakeven
