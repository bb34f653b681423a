#include "data_pipeline/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "data_pipeline/inspect_dataset.h"
#include "data_pipeline/prepare_config.h"
#include "data_pipeline/prepare_example.h"
#include "data_pipeline/token_dataset.h"
#include "tests/data_pipeline/dataset_fixture.h"
#include "tests/support/tiny_tokenizer.h"

namespace breakeven {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using Json = nlohmann::json;

class PrepareTest : public testing::Test {
 protected:
  PrepareTest() {
    WriteTinyTokenizer(tokenizer_);
    config_.task.name = "qa";
    config_.task.output_type = "generate_until";
    config_.task.doc_to_text = "Q: {{ question }}\nA:";
    config_.task.doc_to_target = "{{ answer }}";
    config_.prompt.end_of_target = "{{ eos_token }}";
    config_.tokenizer = tokenizer_;
    config_.output = folder_ / "out";
    config_.threads = 2;
  }

  void Data(const std::string& split,
            const std::vector<std::pair<std::string, std::string>>& rows) {
    std::string lines;
    for (const auto& [question, answer] : rows) {
      lines += Json{{"question", question}, {"answer", answer}}.dump() + "\n";
    }
    RawData(split, lines);
  }
  void RawData(const std::string& split, const std::string& bytes) {
    const std::string path = folder_ / (split + ".jsonl");
    WriteBytes(path, bytes);
    config_.task.splits[split].path = path;
  }

  std::unique_ptr<TokenDataset> Open(const std::string& split) {
    return TokenDataset::Open(config_.output + "/" + split + ".h5");
  }
  // The example as text, targets between ⟦ and ⟧.
  std::string Shown(const TokenDataset& dataset, int64_t example) {
    const auto tokenizer = Tokenizer::Load(tokenizer_);
    std::string text;
    for (const auto& [is_target, piece] :
         DescribeDataset(dataset, tokenizer.get(), example).example_pieces) {
      text += is_target ? "⟦" + piece + "⟧" : piece;
    }
    return text;
  }
  std::string Failure(ErrorKind kind) {
    return MessageOf(kind, [this] { RunPrepare(config_); });
  }

  const TempFolder folder_;
  const std::string tokenizer_ = folder_ / "tokenizer";
  PrepareConfig config_;
};

TEST_F(PrepareTest, RendersEncodesAndMarksTargets) {
  Data("train", {{"the hat", "in the"}, {"two", "2"}});
  Data("dev", {{"three", "3"}});
  const PrepareReport report = RunPrepare(config_);
  EXPECT_THAT(report.warnings, IsEmpty());
  ASSERT_EQ(report.splits.size(), 2u);
  const auto train = Open("train");
  EXPECT_EQ(report.splits.at("train").path, train->path());
  EXPECT_EQ(report.splits.at("train").num_examples, 2);
  EXPECT_EQ(report.splits.at("train").num_tokens, train->num_tokens());
  EXPECT_EQ(report.splits.at("train").num_targets, train->num_targets());
  EXPECT_EQ(report.splits.at("train").token_lengths.at("max"),
            std::max(train->example_tokens(0), train->example_tokens(1)));
  EXPECT_EQ(Shown(*train, 0), "Q: the hat\nA:⟦ in the</s>⟧");
  EXPECT_EQ(Shown(*train, 1), "Q: two\nA:⟦ 2</s>⟧");
  EXPECT_EQ(train->example_id(1), 2u);
  const TokenDatasetInfo& info = train->info();
  const auto tokenizer = Tokenizer::Load(tokenizer_);
  EXPECT_EQ(info.split, "train");
  EXPECT_EQ(info.vocab_size, tokenizer->vocab_size());
  EXPECT_EQ(info.tokenizer_fingerprint, tokenizer->fingerprint());
  EXPECT_EQ(info.template_fingerprint,
            ExampleRenderer(config_.task, config_.prompt, {"", "<s>", "</s>"}).fingerprint());
  EXPECT_THAT(info.source_hashes, ElementsAre(Pair("dev/dev.jsonl", testing::_),
                                              Pair("train/train.jsonl", testing::_)));
  EXPECT_EQ(info.counts.at("documents"), 2);
  train->Verify();
}

TEST_F(PrepareTest, BytesDependOnNeitherThreadsNorFolders) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (int i = 0; i < 700; ++i)
    rows.emplace_back("number " + std::to_string(i), std::to_string(i * i));
  Data("train", rows);
  Data("dev", {{"x", "y"}});
  RunPrepare(config_);
  const std::string reference = ReadBytes(config_.output + "/train.h5");
  for (const int64_t threads : {1, 3, 8}) {
    config_.threads = threads;
    config_.output = folder_ / ("out" + std::to_string(threads));
    RunPrepare(config_);
    EXPECT_EQ(ReadBytes(config_.output + "/train.h5"), reference) << threads << " threads";
  }
  std::filesystem::create_directory(folder_ / "elsewhere");
  std::filesystem::rename(config_.task.splits["train"].path, folder_ / "elsewhere/train.jsonl");
  config_.task.splits["train"].path = folder_ / "elsewhere/train.jsonl";
  RunPrepare(config_);
  EXPECT_EQ(ReadBytes(config_.output + "/train.h5"), reference);
}

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

TEST_F(PrepareTest, FractionsDivideOneFile) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (int i = 0; i < 300; ++i) rows.emplace_back("number " + std::to_string(i), std::to_string(i));
  Data("all", rows);
  config_.task.split_fractions = {{"train", 0.8}, {"dev", 0.1}, {"test", 0.1}};
  const PrepareReport report = RunPrepare(config_);
  int64_t sum = 0;
  for (const auto& [name, split] : report.splits) sum += split.num_examples;
  EXPECT_EQ(report.splits.size(), 3u);
  EXPECT_EQ(sum, 300);
}

TEST_F(PrepareTest, TooLongExamples) {
  const std::string words(60, 'x');
  Data("train", {{"a", "b"}, {words, "b"}, {"c", words}});
  config_.max_tokens = 30;
  PrepareReport report = RunPrepare(config_);
  EXPECT_EQ(Open("train")->num_examples(), 1);
  EXPECT_EQ(report.splits.at("train").counts.at("dropped_too_long"), 2);

  config_.too_long = "truncate_prompt_left";
  report = RunPrepare(config_);
  const auto train = Open("train");
  ASSERT_EQ(train->num_examples(), 2);
  EXPECT_EQ(report.splits.at("train").counts.at("truncated"), 1);
  EXPECT_EQ(report.splits.at("train").counts.at("dropped_target_too_long"), 1);
  EXPECT_EQ(train->example_tokens(1), 30);
  EXPECT_THAT(Shown(*train, 1), testing::EndsWith("xxxx\nA:⟦ b</s>⟧"));
  EXPECT_THAT(Shown(*train, 1), Not(HasSubstr("Q:")));

  config_.too_long = "error";
  EXPECT_THAT(Failure(ErrorKind::kBadData),
              AllOf(HasSubstr("train.jsonl line 2"), HasSubstr("max_tokens 30")));
}

// One token of prompt must stay in front of the target, or the target has no predictor.
TEST_F(PrepareTest, TruncationKeepsATokenToPredictFrom) {
  Data("train", {{"a", "bcd"}});  // " bcd</s>" are 5 tokens
  config_.too_long = "truncate_prompt_left";
  config_.max_tokens = 6;
  RunPrepare(config_);
  EXPECT_EQ(Shown(*Open("train"), 0), ":⟦ bcd</s>⟧");
  config_.max_tokens = 5;
  EXPECT_THAT(Failure(ErrorKind::kBadData),
              AllOf(HasSubstr("no example left"), HasSubstr("dropped_target_too_long 1")));
}

TEST_F(PrepareTest, TrainOnPromptMakesEveryTokenATarget) {
  Data("train", {{"a", "b"}});
  config_.train_on_prompt = true;
  RunPrepare(config_);
  const auto train = Open("train");
  EXPECT_EQ(train->num_targets(), train->num_tokens() - 1);  // the first has no predictor
}

TEST_F(PrepareTest, PlainTextStartsFromThePrefixToken) {
  config_.task.output_type = "loglikelihood_rolling";
  config_.task.doc_to_text = "";
  config_.task.doc_to_target = "{{ text }}";
  WriteBytes(folder_ / "t.txt", "the hat\nin a hat\n");
  config_.task.splits["train"].path = folder_ / "t.txt";
  config_.prompt.target_delimiter = "";
  config_.train_on_prompt = true;
  RunPrepare(config_);
  const auto train = Open("train");
  EXPECT_EQ(Shown(*train, 0), "<s>⟦the hat</s>⟧");
  EXPECT_EQ(Shown(*train, 1), "<s>⟦in a hat</s>⟧");
}

TEST_F(PrepareTest, MarkersGiveSeveralSpans) {
  config_.task.doc_to_text =
      "{% for t in turns %}U: {{ t[0] }}\nA:[[ {{ t[1] }}</s>]]\n{% endfor %}U: bye\nA:";
  config_.task.doc_to_target = "[[{{ last }}</s>]]";
  config_.prompt.end_of_target = "";
  config_.target_begin = "[[";
  config_.target_end = "]]";
  RawData("train", R"({"turns": [["hi", "hello"], ["the", "hat"]], "last": "end"})"
                   "\n"
                   R"({"turns": [], "last": "end"})"
                   "\n");
  RunPrepare(config_);
  const auto train = Open("train");
  EXPECT_EQ(Shown(*train, 0), "U: hi\nA:⟦ hello</s>⟧\nU: the\nA:⟦ hat</s>⟧\nU: bye\nA:⟦ end</s>⟧");
  EXPECT_EQ(train->target_spans(0).size(), 3u);
  EXPECT_EQ(Shown(*train, 1), "U: bye\nA:⟦ end</s>⟧");
  // Without markers the same text has the same tokens.
  PrepareConfig plain = config_;
  plain.target_begin = plain.target_end = "";
  plain.task.doc_to_text =
      "{% for t in turns %}U: {{ t[0] }}\nA: {{ t[1] }}</s>\n{% endfor %}U: bye\nA:";
  plain.task.doc_to_target = "{{ last }}</s>";
  plain.output = folder_ / "plain";
  RunPrepare(plain);
  EXPECT_EQ(ReadExample(*train, 0),
            ReadExample(*TokenDataset::Open(plain.output + "/train.h5"), 0));

  RawData("train", R"({"turns": [["hi", "a ]] b"]], "last": "end"})");
  EXPECT_THAT(Failure(ErrorKind::kBadData),
              AllOf(HasSubstr("train.jsonl line 1"), HasSubstr("']]'")));
}

TEST_F(PrepareTest, AGenerationTaskWithoutAnEndIsWarnedAbout) {
  Data("train", {{"a", "b"}, {"c", "d"}});
  config_.prompt.end_of_target = "";
  const PrepareReport report = RunPrepare(config_);
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_THAT(report.warnings[0], AllOf(HasSubstr("2 of 2"), HasSubstr("end_of_target")));
}

TEST_F(PrepareTest, LargeSplitsBecomeSeveralFiles) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (int i = 0; i < 50; ++i) rows.emplace_back("number " + std::to_string(i), std::to_string(i));
  Data("train", rows);
  RunPrepare(config_);
  config_.max_tokens_per_file = 300;
  const PrepareReport report = RunPrepare(config_);
  EXPECT_THAT(report.splits.at("train").path, testing::EndsWith("train.index.json"));
  EXPECT_EQ(TokenDataset::Open(report.splits.at("train").path)->num_examples(), 50);
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_THAT(report.warnings[0], HasSubstr("train.h5 is of an earlier run"));
}

TEST_F(PrepareTest, AFieldMissingInLine7123IsFound) {
  std::string lines;
  for (int i = 1; i <= 9000; ++i) {
    lines += i == 7123 ? "{\"question\":\"x\"}\n" : "{\"question\":\"x\",\"answer\":\"y\"}\n";
  }
  RawData("train", lines);
  for (const int64_t threads : {1, 4}) {
    config_.threads = threads;
    EXPECT_THAT(Failure(ErrorKind::kBadData),
                AllOf(HasSubstr("train.jsonl"), HasSubstr("line 7123"), HasSubstr("answer")));
  }
  EXPECT_FALSE(std::filesystem::exists(config_.output + "/train.h5"));
}

// Rendered as a template, the bare word itself would be trained on.
TEST_F(PrepareTest, AFieldThatIsNamedBareMustBeThere) {
  RawData("train",
          "{\"question\":\"x\",\"answer\":\"y\"}\n{\"quesiton\":\"x\",\"answer\":\"y\"}\n");
  config_.task.doc_to_text = "question";
  EXPECT_THAT(Failure(ErrorKind::kBadData),
              AllOf(HasSubstr("train.jsonl"), HasSubstr("document of line 2"),
                    HasSubstr("doc_to_text: found no field 'question'; the fields are: quesiton, "
                              "answer; did you mean 'quesiton'?")));
  config_.task.doc_to_text = "Q: {{ answer }}";
  for (const char* target : {"asnwer", "question"}) {
    config_.task.doc_to_target = target;
    EXPECT_THAT(Failure(ErrorKind::kBadData), HasSubstr("found no field '" + std::string(target)));
  }
  config_.task.doc_to_target = "{{ 'question' }}";  // the word itself
  RunPrepare(config_);
  EXPECT_THAT(Shown(*Open("train"), 0), HasSubstr("⟦ question</s>⟧"));
  config_.prompt.description = "answer";  // a template only: never a field
  RunPrepare(config_);
  EXPECT_THAT(Shown(*Open("train"), 0), testing::StartsWith("answerQ: y"));
}

TEST_F(PrepareTest, InvalidUtf8IsFound) {
  RawData("train",
          "{\"question\":\"x\",\"answer\":\"y\"}\n{\"question\":\"\xff\",\"answer\":\"y\"}\n");
  EXPECT_THAT(Failure(ErrorKind::kBadData),
              AllOf(HasSubstr("train.jsonl"), HasSubstr("line 2"), HasSubstr("UTF-8")));
}

TEST_F(PrepareTest, AFileNameThatIsNotUtf8IsFoundBeforeAnythingIsDone) {
  RawData("tr\xe4in", "{\"question\":\"x\",\"answer\":\"y\"}\n");
  config_.task.splits = {{"train", config_.task.splits.begin()->second}};
  const auto says = AllOf(HasSubstr("task.splits.train.path"), HasSubstr("is not UTF-8"));
  EXPECT_THAT(Failure(ErrorKind::kUsage), says);
  EXPECT_THAT(MessageOf(ErrorKind::kUsage, [&] { DryRunPrepare(config_); }), says);
  EXPECT_FALSE(std::filesystem::exists(config_.output));
}

TEST_F(PrepareTest, EmptySplitsAreErrors) {
  Data("train", {{"a", "b"}});
  RawData("dev", "");
  EXPECT_THAT(Failure(ErrorKind::kBadData),
              AllOf(HasSubstr("dev.jsonl"), HasSubstr("'dev' has no example left")));
  EXPECT_FALSE(std::filesystem::exists(config_.output + "/train.h5"));
  Data("dev", {{"a", "b"}});  // all of train is in dev
  EXPECT_THAT(Failure(ErrorKind::kBadData), HasSubstr("removed_duplicates 1"));
}

TEST_F(PrepareTest, ConfigsThatContradictThemselvesAreRefused) {
  Data("train", {{"a", "b"}});
  config_.prompt.num_fewshot = 2;
  EXPECT_THAT(Failure(ErrorKind::kUsage), HasSubstr("prompt.num_fewshot"));
  config_.prompt.num_fewshot = 0;
  config_.target_begin = "[";
  EXPECT_THAT(Failure(ErrorKind::kUsage), HasSubstr("target_end"));
  config_.target_end = "]";
  config_.train_on_prompt = true;
  EXPECT_THAT(Failure(ErrorKind::kUsage), HasSubstr("train_on_prompt"));
  config_.train_on_prompt = false;
  config_.splits = {"test"};
  EXPECT_THAT(Failure(ErrorKind::kUsage), HasSubstr("splits"));
  config_.splits = {};
  config_.output = tokenizer_ + "/tokenizer.json/out";
  EXPECT_THAT(Failure(ErrorKind::kCannotCreate), HasSubstr("tokenizer.json"));
}

TEST_F(PrepareTest, DryRunShowsAnExampleAndWritesNothing) {
  Data("train", {{"the hat", "in the"}, {"two", "2"}});
  const std::string text = DryRunPrepare(config_);
  EXPECT_THAT(text, AllOf(HasSubstr("2 documents"), HasSubstr("A:⟦ in the</s>⟧")));
  EXPECT_FALSE(std::filesystem::exists(config_.output));
  RawData("train", "{\"question\":\"x\"}\n");
  EXPECT_THAT(MessageOf(ErrorKind::kBadData, [&] { DryRunPrepare(config_); }),
              AllOf(HasSubstr("train.jsonl"), HasSubstr("line 1")));
}

TEST_F(PrepareTest, StoredConfigHasNoPathsOrThreads) {
  Data("train", {{"a", "b"}});
  const std::string text = CanonicalConfig(config_);
  EXPECT_THAT(text, AllOf(Not(HasSubstr(folder_.path())), Not(HasSubstr("threads"))));
  const Json json = Json::parse(text);
  EXPECT_EQ(json.at("task").at("doc_to_text"), config_.task.doc_to_text);
  EXPECT_EQ(json.at("prompt").at("end_of_target"), "{{ eos_token }}");
  EXPECT_EQ(json.at("max_tokens"), 1024);
  EXPECT_TRUE(json.at("task").at("splits").contains("train"));
}

TEST_F(PrepareTest, DescriptionSaysWhatTheDatasetHolds) {
  Data("train", {{"the hat", "in the"}, {"two", "2"}, {"a longer question than that", "3"}});
  RunPrepare(config_);
  const auto train = Open("train");
  const auto tokenizer = Tokenizer::Load(tokenizer_);
  const DatasetDescription with = DescribeDataset(*train, tokenizer.get(), 1);
  EXPECT_THAT(DescriptionText(with), AllOf(HasSubstr("examples                3"),
                                           HasSubstr("⟦ 2</s>⟧"), HasSubstr("example 1 (id 2")));
  const DatasetDescription without = DescribeDataset(*train, nullptr, 0);
  EXPECT_FALSE(without.decoded);
  EXPECT_THAT(DescriptionText(without), HasSubstr("token ids"));
  int64_t sum = 0;
  for (const auto& bin : with.histogram) sum += bin.num_examples;
  EXPECT_EQ(sum, 3);
  const Json json = Json::parse(DescriptionJson(with));
  EXPECT_EQ(json.at("examples"), 3);
  EXPECT_EQ(json.at("target_tokens"), train->num_targets());
  EXPECT_EQ(json.at("example").at("pieces").at(1).at("text"), " 2</s>");
  EXPECT_EQ(json.at("config").at("task").at("doc_to_target"), "{{ answer }}");
  EXPECT_THAT(MessageOf(ErrorKind::kUsage, [&] { DescribeDataset(*train, nullptr, 3); }),
              HasSubstr("expected 0 to 2"));
  // Another tokenizer would show other words.
  WriteTinyTokenizer(folder_ / "other", false);
  const auto other = Tokenizer::Load(folder_ / "other");
  EXPECT_FALSE(DescribeDataset(*train, other.get(), 0).decoded);
}

TEST(TakeOutMarkersTest, FindsPieces) {
  const MarkedText text = TakeOutMarkers("a<b>cd</b>e<b></b>", "<b>", "</b>");
  EXPECT_EQ(text.text, "acde");
  EXPECT_THAT(text.pieces, ElementsAre(Pair(1, 3), Pair(4, 4)));
  for (const char* bad : {"a<b>c", "a</b>", "<b><b></b>", "<b></b></b>"}) {
    EXPECT_THAT(MessageOf(ErrorKind::kBadData, [&] { TakeOutMarkers(bad, "<b>", "</b>"); }),
                HasSubstr("marker"))
        << bad;
  }
  // One marker may start the other.
  EXPECT_THAT(TakeOutMarkers("x[[y[", "[[", "[").pieces, ElementsAre(Pair(1, 2)));
  EXPECT_EQ(TakeOutMarkers("x[[y[", "[[", "[").text, "xy");
}

TEST(LengthStatisticsTest, QuantilesAreElements) {
  std::vector<int64_t> lengths = {5, 1, 4, 2, 3};
  const LengthStatistics statistics = SummarizeLengths(lengths);
  EXPECT_EQ(statistics.min, 1);
  EXPECT_EQ(statistics.p50, 3);
  EXPECT_EQ(statistics.p90, 5);
  EXPECT_EQ(statistics.max, 5);
  EXPECT_EQ(statistics.mean, 3.0);
}

}  // namespace
}  // namespace breakeven
