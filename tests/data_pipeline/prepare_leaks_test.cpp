// What dev and test share with train leaves it, or is said.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "data_pipeline/prepare.h"
#include "tests/data_pipeline/prepare_fixture.h"

namespace breakeven {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

TEST_F(PrepareTest, DuplicatesOfDevAndTestLeaveTrain) {
  Data("train", {{"one", "1"}, {"ONE  ", "1"}, {"two", "2"}, {"two", "2"}, {"three", "3"}});
  Data("dev", {{"one", "1"}, {"four", "4"}});
  Data("test", {{"Three", "3"}, {"four", "4"}});
  const PrepareReport report = RunPrepare(config_);
  const auto train = Open("train");
  // "ONE  " differs by case and white space only, which does not count.
  EXPECT_EQ(train->num_examples(), 2);
  EXPECT_EQ(Shown(*train, 0), "Q: two\nA:⟦ 2</s>⟧");
  const auto& counts = report.splits.at("train").counts;
  EXPECT_EQ(counts.at("documents"), 5);
  EXPECT_EQ(counts.at("removed_duplicates"), 3);
  EXPECT_EQ(counts.at("duplicates_of_dev"), 2);
  EXPECT_EQ(counts.at("duplicates_of_test"), 1);
  EXPECT_EQ(counts.at("duplicates_within"), 2);
  EXPECT_EQ(train->info().counts, counts);
  EXPECT_EQ(Open("dev")->num_examples(), 2);
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_THAT(report.warnings[0], HasSubstr("1 examples of dev stand in test"));
}

// With all its blanks the dev document is too long and dropped; `eval` asks it all the same.
TEST_F(PrepareTest, DroppedDocumentsOfDevGuardTrainToo) {
  Data("train", {{"one two", "1"}, {"three", "3"}});
  Data("dev", {{"one" + std::string(90, ' ') + "two", "1"}, {"four", "4"}});
  config_.max_tokens = 40;
  const PrepareReport report = RunPrepare(config_);
  EXPECT_EQ(report.splits.at("dev").counts.at("dropped_too_long"), 1);
  EXPECT_EQ(report.splits.at("train").counts.at("removed_duplicates"), 1);
  EXPECT_EQ(Shown(*Open("train"), 0), "Q: three\nA:⟦ 3</s>⟧");
}

TEST_F(PrepareTest, SplitsThatAreNotWrittenStillGuardTrain) {
  Data("train", {{"one", "1"}, {"two", "2"}});
  Data("test", {{"one", "1"}});
  config_.splits = {"train"};
  PrepareReport report = RunPrepare(config_);
  EXPECT_EQ(Open("train")->num_examples(), 1);
  EXPECT_FALSE(std::filesystem::exists(config_.output + "/test.h5"));
  std::filesystem::remove(config_.task.splits["test"].path);
  report = RunPrepare(config_);
  EXPECT_EQ(Open("train")->num_examples(), 2);
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_THAT(report.warnings[0], HasSubstr("was not compared with split test"));
}

// A dev document that is dropped here is asked by `eval` all the same, so its group guards too.
TEST_F(PrepareTest, GroupsOfDevAndTestLeaveTrain) {
  const auto rows = [&](const std::string& split,
                        const std::vector<std::pair<std::string, std::string>>& groups) {
    std::string lines;
    for (const auto& [question, group] : groups) {
      lines += Json{{"question", question}, {"answer", "y"}, {"source", group}}.dump() + "\n";
    }
    RawData(split, lines);
  };
  config_.task.group_key = "{{ source }}";
  config_.max_tokens = 40;
  rows("train", {{"a", "g1"}, {"b", "g2"}, {"c", "g3"}, {"d", ""}, {"e", "g4"}});
  rows("dev", {{"f", "g1"}, {"g", "g5"}, {"h", ""}, {std::string(90, 'x'), "g4"}});
  rows("test", {{"i", "g3"}, {"j", "g5"}});
  const PrepareReport report = RunPrepare(config_);
  const auto& counts = report.splits.at("train").counts;
  EXPECT_EQ(counts.at("removed_shared_groups"), 3);
  EXPECT_EQ(counts.at("shared_groups_with_dev"), 2);
  EXPECT_EQ(counts.at("shared_groups_with_test"), 1);
  EXPECT_EQ(counts.at("removed_duplicates"), 0);
  EXPECT_EQ(report.splits.at("dev").counts.at("shared_groups_with_test"), 1);
  const auto train = Open("train");
  ASSERT_EQ(train->num_examples(), 2) << "a document without a group shares none";
  EXPECT_EQ(Shown(*train, 0), "Q: b\nA:⟦ y</s>⟧");
  EXPECT_EQ(train->info().counts, counts);
  ASSERT_EQ(report.warnings.size(), 2u);
  EXPECT_THAT(report.warnings, testing::UnorderedElementsAre(
                                   HasSubstr("3 examples of train were removed: their group_key"),
                                   HasSubstr("1 examples of dev have a group_key of test too")));
}

TEST_F(PrepareTest, NearDuplicatesOfTestAreCountedListedAndRefusedAboveAShare) {
  std::vector<std::pair<std::string, std::string>> train = {{"something else", "2"}};
  std::vector<std::pair<std::string, std::string>> test;
  for (int i = 0; i < 7; ++i) {
    std::string text;
    for (int word = 0; word < 20; ++word) text += "w" + std::to_string(100 * i + word) + " ";
    train.emplace_back(text + "until evening comes", "1");
    test.emplace_back(i < 5 ? text + "until evening" : "number " + std::to_string(i), "1");
  }
  Data("train", train);
  Data("test", test);
  EXPECT_THAT(Failure(ErrorKind::kBadData),
              AllOf(HasSubstr("5 of 7 documents of 'test'"), HasSubstr("lines 1 and 2, 2 and 3"),
                    HasSubstr("max_near_share")));
  config_.overlap.max_near_share = 0.8;
  PrepareReport report = RunPrepare(config_);
  EXPECT_EQ(report.splits.at("train").counts.at("near_duplicates_of_test"), 5);
  EXPECT_EQ(Open("train")->num_examples(), 8) << "they stay";
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_THAT(report.warnings[0], HasSubstr("nearly equal to one in 'train'"));
  config_.overlap.near_similarity = 0;
  EXPECT_THAT(RunPrepare(config_).warnings, IsEmpty());
}

TEST_F(PrepareTest, APromptThatShowsItsAnswerIsWarnedAbout) {
  Data("train", {{"one", "1"}, {"two", "2"}, {"three", "3"}});
  config_.task.doc_to_text = "Q: {{ question }} ({{ answer }})\nA:";
  const PrepareReport report = RunPrepare(config_);
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_THAT(report.warnings[0], AllOf(HasSubstr("train.jsonl: prompt 'default' shows the answer"),
                                        HasSubstr("field 'answer'"), HasSubstr("(1)\nA:")));
  config_.train_on_prompt = true;
  EXPECT_THAT(RunPrepare(config_).warnings, IsEmpty());
}

}  // namespace
}  // namespace breakeven
