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
  EXPECT_EQ(
      ErrorOf(task),
      "task.metrics: 'exact_match' does not go with output_type 'multiple_choice'; allowed: "
      "acc, acc_norm, acc_bytes, brier_score, target_loglikelihood, calibration_error, f1, mcc");
  task = GoodTask();
  task.doc_to_choice.clear();
  EXPECT_EQ(ErrorOf(task),
            "task.doc_to_choice: empty; output_type multiple_choice needs the choices");
  task = GoodTask();
  task.until = {"\n"};
  EXPECT_EQ(ErrorOf(task).substr(0, 11), "task.until:");
  task = GoodTask();
  task.harness = "x.yaml";
  EXPECT_EQ(ErrorOf(task).substr(0, 13), "task.harness:");
  task = GoodTask();
  task.filter_list = {{"p", {}}};
  EXPECT_EQ(ErrorOf(task).substr(0, 17), "task.filter_list:");
  task = GoodTask();
  task.fewshot_split = "samples";
  EXPECT_EQ(ErrorOf(task), "task.fewshot_split: samples, but task.fewshot_samples is empty");
  task = GoodTask();
  task.splits["train"].path.clear();
  EXPECT_EQ(ErrorOf(task), "task.splits.train.path: empty; expected the name of a data file");
}

TEST(PromptConfig, WhatItLeavesOutIsTheTasks) {
  TaskConfig task = GoodTask();
  task.description = "Judge.\n";
  task.target_delimiter = "";
  task.num_fewshot = 3;
  task.fewshot_sampler = "first_n";
  PromptConfig prompt;
  PromptConfig resolved = ResolvePrompt(task, prompt);
  EXPECT_EQ(resolved.description, "Judge.\n");
  EXPECT_EQ(resolved.target_delimiter, "");
  EXPECT_EQ(resolved.fewshot_delimiter, "\n\n");
  EXPECT_EQ(resolved.doc_to_choice, task.doc_to_choice);
  EXPECT_EQ(resolved.num_fewshot, 0) << "shots are a prompt's own";
  prompt.target_delimiter = " ";
  prompt.description = "Else.";
  resolved = ResolvePrompt(task, prompt);
  EXPECT_EQ(resolved.target_delimiter, " ");
  EXPECT_EQ(resolved.description, "Else.");
  EXPECT_EQ(TaskPrompt(task).num_fewshot, 3);
  EXPECT_EQ(TaskPrompt(task).fewshot_sampler, "first_n");
}

}  // namespace
}  // namespace breakeven
