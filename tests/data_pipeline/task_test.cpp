#include "data_pipeline/task.h"

#include <gtest/gtest.h>

#include "comm/base/error.h"

namespace breakeven {
namespace {

TaskConfig GoodTask() {
  TaskConfig task;
  task.name = "t";
  task.splits["train"].path = "train.jsonl";
  task.doc_to_text = "{{ q }}";
  task.doc_to_target = "label";
  task.doc_to_choice = {"no", "yes"};
  return task;
}

std::string ErrorOf(const TaskConfig& task) {
  try {
    task.Validate();
    return "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
}

TEST(TaskConfig, AcceptsGoodOnes) {
  EXPECT_EQ(ErrorOf(GoodTask()), "no error");
  TaskConfig divided = GoodTask();
  divided.splits = {{"all", divided.splits["train"]}};
  divided.split_fractions = {{"train", 0.8}, {"dev", 0.1}, {"test", 0.1}};
  EXPECT_EQ(ErrorOf(divided), "no error");
  TaskConfig rolling = GoodTask();
  rolling.output_type = "loglikelihood_rolling";
  rolling.doc_to_text.clear();
  rolling.doc_to_choice.clear();
  EXPECT_EQ(ErrorOf(rolling), "no error");
}

TEST(TaskConfig, NamesTheWrongKey) {
  TaskConfig task = GoodTask();
  task.split_fractions = {{"train", 1.0}};
  EXPECT_EQ(ErrorOf(task),
            "task.split_fractions: given, but there is no splits.all file to divide");
  task = GoodTask();
  task.splits["validation"].path = "v.jsonl";
  EXPECT_EQ(ErrorOf(task),
            "task.splits: unknown split 'validation'; expected train, dev, test, or 'all' with "
            "split_fractions");
  task = GoodTask();
  task.splits = {{"all", task.splits["train"]}};
  task.split_fractions = {{"train", 0.5}, {"dev", 0.4}};
  EXPECT_EQ(ErrorOf(task).substr(0, 36), "task.split_fractions: they sum to 0.");
  task = GoodTask();
  task.metrics = {"exact_match"};
  EXPECT_EQ(ErrorOf(task),
            "task.metrics: 'exact_match' does not go with output_type 'multiple_choice'; allowed: "
            "acc, acc_norm, acc_bytes, brier_score, target_loglikelihood, calibration_error");
  task = GoodTask();
  task.doc_to_choice.clear();
  EXPECT_EQ(ErrorOf(task),
            "task.doc_to_choice: empty; output_type multiple_choice needs the choices");
  task = GoodTask();
  task.until = {"\n"};
  EXPECT_EQ(ErrorOf(task).substr(0, 11), "task.until:");
  task = GoodTask();
  task.splits["train"].path.clear();
  EXPECT_EQ(ErrorOf(task), "task.splits.train.path: empty; expected the name of a data file");
}

}  // namespace
}  // namespace breakeven
