#include "data_pipeline/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "data_pipeline/inspect_dataset.h"
#include "data_pipeline/prepare_config.h"
#include "data_pipeline/prepare_example.h"
#include "data_pipeline/token_dataset.h"
#include "tests/data_pipeline/prepare_fixture.h"
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
