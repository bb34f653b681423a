#include "launch/config_harness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "data_pipeline/task.h"
#include "launch/yaml_reader.h"
#include "tests/support/temp_folder.h"

namespace breakeven {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class ConfigHarnessTest : public ::testing::Test {
 protected:
  ConfigHarnessTest() { fs::create_directories(folder_ / "theirs"); }

  void Write(const std::string& name, const std::string& text) const {
    WriteFileDurably(folder_ / name, text);
  }
  TaskConfig Read(const std::string& harness, const std::string& more = "") const {
    Write("theirs/task.yaml", harness);
    Write("task.yaml", "harness: theirs/task.yaml\nsplits: {dev: {path: d.jsonl}}\n" + more);
    return ReadConfig<TaskConfig>(folder_ / "task.yaml", {});
  }
  std::string ErrorOf(const std::string& harness) const {
    try {
      Read(harness);
      return "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      return error.what();
    }
  }

  const TempFolder folder_;
};

constexpr char kBase[] = R"yaml(
dataset_path: org/data
test_split: test
fewshot_split: dev
output_type: multiple_choice
doc_to_text: ""
doc_to_target: 0
doc_to_choice: {a: "yes", b: "no"}
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
fewshot_config: {sampler: first_n}
metadata: {version: 1.0}
)yaml";

TEST_F(ConfigHarnessTest, IncludesAndUnionTypesBecomeOurKeys) {
  Write("theirs/_base_yaml", kBase);
  const TaskConfig task =
      Read("include: _base_yaml\ntask: t\ndescription: \"Judge.\\n\"\nnum_fewshot: 5\n");
  EXPECT_EQ(task.name, "t");
  EXPECT_EQ(task.doc_to_target, "0");
  EXPECT_THAT(task.doc_to_choice, ElementsAre("yes", "no"));
  EXPECT_THAT(task.metrics, ElementsAre("acc"));
  EXPECT_EQ(task.description, "Judge.\n");
  EXPECT_EQ(task.num_fewshot, 5);
  EXPECT_EQ(task.fewshot_split, "dev");
  EXPECT_EQ(task.fewshot_sampler, "first_n");
  EXPECT_EQ(task.harness, "");
}

TEST_F(ConfigHarnessTest, OurOwnKeysWin) {
  Write("theirs/_base_yaml", kBase);
  const TaskConfig task =
      Read("include: _base_yaml\ntask: t\n", "name: mine\nmetrics: [acc_norm]\n");
  EXPECT_EQ(task.name, "mine");
  EXPECT_THAT(task.metrics, ElementsAre("acc_norm"));
}

TEST_F(ConfigHarnessTest, GenerationKwargsFiltersAndOptionsOfTheMetric) {
  const TaskConfig task = Read(R"yaml(
task: math
test_split: null
training_split: train
doc_to_text: "Q: {{q}}"
doc_to_target: [a, 1]
generation_kwargs: {until: ["Q:", "</s>"], max_gen_toks: 7, do_sample: false, temperature: 0.0}
metric_list:
  - metric: exact_match
    ignore_case: true
    regexes_to_ignore: [",", "\\$"]
filter_list:
  - name: strict
    filter:
      - {function: regex, regex_pattern: "#### (.*)", group_select: -1, fallback: null}
      - {function: map, mapping_dict: {1: one, yes: true}, default_value: "?"}
      - {function: take_first}
  - {name: none, filter: [{function: take_first}]}
)yaml");
  EXPECT_EQ(task.output_type, "generate_until");
  EXPECT_EQ(task.doc_to_target, "[\"a\",1]");
  EXPECT_THAT(task.until, ElementsAre("Q:", "</s>"));
  EXPECT_EQ(task.max_gen_toks, 7);
  ASSERT_TRUE(task.exact_match.has_value());
  EXPECT_TRUE(task.exact_match->ignore_case);
  EXPECT_FALSE(task.exact_match->strip);
  EXPECT_THAT(task.exact_match->regexes_to_ignore, ElementsAre(",", "\\$"));
  ASSERT_EQ(task.filter_list.size(), 2U);
  EXPECT_EQ(task.filter_list[0].filter[0].group_select, -1);
  EXPECT_EQ(task.filter_list[0].filter[0].fallback, "[invalid]");
  EXPECT_EQ(task.filter_list[0].filter[1].mapping_dict.at("1"), "one");
  // No split is named for shots, and none is scored by name: the harness draws one more.
  EXPECT_EQ(task.fewshot_sampler, "per_doc_spare");
  EXPECT_EQ(task.fewshot_split, "train");
}

TEST_F(ConfigHarnessTest, SamplesKeepTheirTypes) {
  const TaskConfig task = Read(R"yaml(
task: t
test_split: test
doc_to_text: "{{q}}"
doc_to_target: "{{a}}"
generation_kwargs: {until: []}
fewshot_config: {samples: [{q: "1", a: 1, b: [true, 0.5, x]}]}
)yaml");
  EXPECT_THAT(task.fewshot_samples, ElementsAre("{\"q\":\"1\",\"a\":1,\"b\":[true,0.5,\"x\"]}"));
  EXPECT_EQ(task.fewshot_split, "samples");
  EXPECT_TRUE(task.until_end_of_text);
}

TEST_F(ConfigHarnessTest, WhatCannotBeDoneHereIsNamedWithItsPlace) {
  const std::string start = "task: t\ndoc_to_text: q\ndoc_to_target: a\n";
  EXPECT_THAT(ErrorOf(start + "process_docs: !function utils.process"),
              HasSubstr("theirs/task.yaml:4:15: process_docs: !function utils.process"));
  EXPECT_THAT(ErrorOf("group: g\ntask: [a, b]"), HasSubstr("group: the file names a group"));
  EXPECT_THAT(ErrorOf("doc_to_text: q"), HasSubstr("it is no task"));
  EXPECT_THAT(ErrorOf(start + "metric_list: [{metric: bleu}]"), HasSubstr("'bleu'"));
  EXPECT_THAT(ErrorOf(start + "filter_list: [{name: f, filter: [{function: majority_vote}]}]"),
              HasSubstr("'majority_vote'"));
  EXPECT_THAT(ErrorOf(start + "generation_kwargs: {do_sample: true, temperature: 0.8}"),
              HasSubstr("answers are sampled"));
  EXPECT_THAT(ErrorOf(start + "generation_kwargs: {num_beams: 4}"), HasSubstr("beam search"));
  EXPECT_THAT(ErrorOf(start + "repeats: 4"), HasSubstr("repeats"));
  EXPECT_THAT(ErrorOf(start + "doc_to_txet: q"), HasSubstr("doc_to_txet: not known"));
  EXPECT_THAT(ErrorOf("include: task.yaml\n" + start), HasSubstr("includes itself"));
  EXPECT_THAT(ErrorOf(start + "output_type: multiple_choice\ndoc_to_choice: [one]"),
              HasSubstr("at least two"));
}

}  // namespace
}  // namespace breakeven
