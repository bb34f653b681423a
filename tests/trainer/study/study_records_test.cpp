// Pure.
#include "trainer/study/study_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "comm/base/error.h"
#include "trainer/prompt_eval/records.h"
#include "trainer/study/flips.h"

namespace breakeven {
namespace {

using Json = nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

// A line as eval writes it: by its own writer.
Json Line(const std::string& model, int doc, bool hit, const std::string& split = "test") {
  ArmIdentity arm;
  arm.model = model;
  arm.model_hash = "hash of " + model;
  arm.task = "colours";
  arm.variant = "plain";
  arm.template_hash = "t";
  arm.precision = "float32";
  arm.split = split;
  DocumentIdentity identity{std::to_string(doc), 77u + static_cast<uint64_t>(doc),
                            doc < 2 ? "sky" : "sea"};
  DocumentRequests document;
  document.target = "blue";
  document.gold = 0;
  document.texts.resize(2);
  document.texts[0].text = "blue";
  document.texts[1].text = "green";
  document.prompt_tokens = 10 + doc;
  DocumentOutcome outcome;
  outcome.target = "blue";
  outcome.prediction = hit ? "blue" : "green";
  outcome.metrics["acc"] = hit ? 1 : 0;
  outcome.texts.resize(2);
  outcome.texts[0].loglikelihood = hit ? -1 : -2;
  outcome.texts[1].loglikelihood = hit ? -2 : -1;
  return Json::parse(RecordLine(arm, identity, document, outcome));
}

std::string Dump(const std::vector<Json>& lines) {
  std::string text;
  for (const Json& line : lines) text += line.dump() + "\n";
  return text;
}

StudyRecords Read(const std::string& text) {
  RecordReader reader("test");
  std::istringstream lines(text);
  reader.Read(lines, "records.jsonl");
  return reader.Finish();
}

std::vector<Json> TwoArms() {
  return {Line("base", 0, true),  Line("base", 1, false), Line("base", 2, true),
          Line("tuned", 2, true), Line("tuned", 1, true), Line("tuned", 0, false)};
}

std::string ErrorOf(const std::vector<Json>& lines) {
  try {
    Read(Dump(lines));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadData);
    return error.what();
  }
  return "no error";
}

TEST(StudyRecordsTest, ArmsAreAlignedOnTheFirstOnesDocuments) {
  const StudyRecords records = Read(Dump(TwoArms()));
  ASSERT_EQ(records.arms.size(), 2u);
  EXPECT_EQ(records.arms[0].arm, "base/plain");
  EXPECT_EQ(records.arms[1].model_hash, "hash of tuned");
  ASSERT_EQ(records.documents.size(), 3u);
  EXPECT_EQ(records.documents[1].id, "1");
  EXPECT_EQ(records.documents[2].group, "sea");
  EXPECT_EQ(records.arms[1].metrics.at("acc"), (std::vector<double>{0, 1, 1}));
  EXPECT_EQ(records.arms[1].predictions, (std::vector<std::string>{"green", "blue", "blue"}));
  EXPECT_DOUBLE_EQ(records.arms[1].mean_prompt_tokens, 11);
  // e^-2 / (e^-1 + e^-2)
  const double unlikely = 1 / (1 + std::exp(1));
  EXPECT_NEAR(records.arms[1].target_probabilities[0], unlikely, 1e-12);
  EXPECT_NEAR(records.arms[1].confidences[0], 1 - unlikely, 1e-12);
  EXPECT_EQ(records.arms[1].confident_hits, (std::vector<double>{0, 1, 1}));
}

TEST(StudyRecordsTest, OtherSplitsAreLeftOut) {
  std::vector<Json> lines = TwoArms();
  lines.push_back(Line("base", 9, true, "dev"));
  EXPECT_EQ(Read(Dump(lines)).documents.size(), 3u);
  EXPECT_THAT(ErrorOf({Line("base", 9, true, "dev")}), HasSubstr("no record of split 'test'"));
}

// A table of this metric is an error that names the metric.
void ExpectRefused(const StudyRecords& records, const std::string& metric,
                   const testing::Matcher<std::string>& says) {
  try {
    TableOf(records, metric);
    FAIL() << metric;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("'" + metric + "'"), says));
  }
}

TEST(StudyRecordsTest, TablesHaveAColumnForEachArm) {
  const StudyRecords records = Read(Dump(TwoArms()));
  const ScoreTable table = TableOf(records, "acc");
  EXPECT_EQ(table.columns[0], (std::vector<double>{1, 0, 1}));
  EXPECT_EQ(table.groups, (std::vector<uint64_t>{0, 0, 1}));
  EXPECT_TRUE(table.unit_interval);
  const ScoreTable nats = TableOf(records, "target_loglikelihood");
  EXPECT_EQ(nats.columns[0], (std::vector<double>{-1, -2, -1}));
  EXPECT_FALSE(nats.unit_interval);
  const ScoreTable brier = TableOf(records, "brier_score");
  EXPECT_TRUE(brier.unit_interval);
  EXPECT_GT(brier.columns[0][0], brier.columns[0][1]) << "more is better";
  ExpectRefused(records, "f1", HasSubstr("acc, brier_score"));
}

// Found by fuzzing: it ended as a bug of ours.
TEST(StudyRecordsTest, AMetricOfWhichLessIsBetterAndThatIsNotOursIsRefused) {
  std::vector<Json> lines = TwoArms();
  for (Json& line : lines) line["metrics"]["byte_perplexity,mine"] = 2.0;
  const StudyRecords records = Read(Dump(lines));
  ExpectRefused(records, "byte_perplexity,mine", HasSubstr("one of acc, brier_score"));
}

TEST(StudyRecordsTest, OneChoiceHasTheMetricThatWasRecorded) {
  std::vector<Json> lines = TwoArms();
  for (Json& line : lines) {  // as a task of the type loglikelihood is recorded
    line["choices"].erase(1);
    line["metrics"]["target_loglikelihood"] = line["choices"][0]["loglikelihood"];
  }
  const StudyRecords records = Read(Dump(lines));
  const ScoreTable nats = TableOf(records, "target_loglikelihood");
  EXPECT_EQ(nats.columns[0], (std::vector<double>{-1, -2, -1}));
  EXPECT_EQ(nats.columns[1], (std::vector<double>{-2, -1, -1}));
  EXPECT_FALSE(nats.unit_interval);
  EXPECT_THROW(TableOf(records, "target_probability"), Error);
}

TEST(StudyRecordsTest, PerplexitiesBecomeLogLikelihoodsPerUnit) {
  std::vector<Json> lines = TwoArms();
  for (Json& line : lines) {
    line["num_words"] = 4;
    line["choices"] = Json::parse(R"([{"text": "a", "loglikelihood": -8.0, "num_bytes": 16}])");
    line["metrics"] = Json::parse(R"({"word_perplexity": 7.39})");
  }
  const StudyRecords records = Read(Dump(lines));
  const ScoreTable words = TableOf(records, "word_perplexity");
  EXPECT_EQ(words.columns[0][0], -8);
  EXPECT_EQ(words.sizes[0], 4);
  const ScoreTable bits = TableOf(records, "bits_per_byte");
  EXPECT_NEAR(bits.columns[0][0], -8 / std::log(2), 1e-12);
  EXPECT_EQ(bits.sizes[0], 16);
}

struct Damage {
  const char* name;
  std::function<void(std::vector<Json>&)> make;
  std::vector<std::string> says;
};

TEST(StudyRecordsTest, WhatIsWrongIsNamedWithItsLine) {
  const std::vector<Damage> damages = {
      {"another format", [](auto& l) { l[1]["format"] = 2; }, {"records.jsonl:2", "format 2"}},
      {"NaN",
       [](auto& l) { l[4]["metrics"]["acc"] = nullptr; },
       {"records.jsonl:5", "acc is null", "NaN"}},
      {"NaN likelihood",
       [](auto& l) { l[4]["choices"][0]["loglikelihood"] = nullptr; },
       {"records.jsonl:5", "log-likelihood"}},
      {"another model",
       [](auto& l) { l[2]["model_hash"] = "x"; },
       {"records.jsonl:3", "model_hash is \"x\"", "records.jsonl:1"}},
      {"another template",
       [](auto& l) { l[5]["template_hash"] = "x"; },
       {"records.jsonl:6", "template_hash"}},
      {"another task",
       [](auto& l) { l[3]["task"] = "shapes"; },
       {"records.jsonl:4", "task is \"shapes\"", "base/plain"}},
      {"another precision",
       [](auto& l) { l[3]["precision"] = "bfloat16"; },
       {"records.jsonl:4", "precision"}},
      {"twice",
       [](auto& l) { l.push_back(l[0]); },
       {"records.jsonl:7", "document 0", "records.jsonl:1"}},
      {"cut off", [](auto& l) { l.pop_back(); }, {"tuned/plain lacks document 0", "cut off"}},
      {"one more",
       [](auto& l) { l.push_back(Line("tuned", 5, true)); },
       {"tuned/plain has 4", "base/plain has 3"}},
      {"changed data",
       [](auto& l) { l[4]["doc_hash"] = "ff"; },
       {"records.jsonl:5", "document 1", "data changed"}},
      {"another group", [](auto& l) { l[4]["group"] = "land"; }, {"'land'", "'sky'"}},
      {"a metric too few", [](auto& l) { l[5]["metrics"] = Json::object(); }, {"acc is missing"}},
      {"a metric too many",
       [](auto& l) { l[5]["metrics"]["f1"] = 1; },
       {"records.jsonl:6", "f1 is missing in earlier"}},
      {"no id", [](auto& l) { l[5].erase("doc_id"); }, {"records.jsonl:6", "is no record"}},
  };
  for (const Damage& damage : damages) {
    std::vector<Json> lines = TwoArms();
    damage.make(lines);
    const std::string message = ErrorOf(lines);
    for (const std::string& part : damage.says) {
      EXPECT_THAT(message, HasSubstr(part)) << damage.name;
    }
  }
}

TEST(StudyRecordsTest, ALineThatIsNoJsonIsNamed) {
  EXPECT_THROW(
      {
        try {
          Read(Line("base", 0, true).dump() + "\n{\"format\": 1, \"arm");
        } catch (const Error& error) {
          EXPECT_THAT(error.what(), HasSubstr("records.jsonl:2"));
          throw;
        }
      },
      Error);
}

// Printing, copying and comparing take a call a level, and the stack has an end.
TEST(StudyRecordsTest, ALineThatNestsWithoutEndIsNamed) {
  constexpr size_t kLevels = 300'000;
  std::string text = Dump({Line("base", 0, true)});
  const std::string id = R"("doc_id":0)";
  text.replace(text.find(id), id.size(),
               R"("doc_id":)" + std::string(kLevels, '[') + std::string(kLevels, ']'));
  try {
    Read(text);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadData);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("records.jsonl:1"), HasSubstr("nested deeper")));
  }
}

TEST(FlipsTest, WonAndLostDocumentsCanBeRead) {
  const StudyRecords records = Read(Dump(TwoArms()));
  const std::vector<size_t> tuned = {1};
  const std::vector<size_t> base = {0};
  const FlipTable flips = FindFlips(records, TableOf(records, "acc"), tuned, base);
  ASSERT_EQ(flips.won.size(), 1u);
  ASSERT_EQ(flips.lost.size(), 1u);
  EXPECT_EQ(flips.won[0].id, "1");
  EXPECT_EQ(flips.won[0].baseline_prediction, "green");
  EXPECT_EQ(flips.lost[0].id, "0");
  EXPECT_EQ(flips.lost[0].arm_prediction, "green");
  EXPECT_EQ(flips.lost[0].target, "blue");
}

TEST(FlipsTest, SeedsAreAveragedAndTheSurestComeFirst) {
  std::vector<Json> lines = TwoArms();
  for (int doc : {0, 1, 2}) lines.push_back(Line("again", doc, doc != 2));
  const StudyRecords records = Read(Dump(lines));
  const std::vector<size_t> seeds = {1, 2};
  const std::vector<size_t> base = {0};
  const FlipTable flips = FindFlips(records, TableOf(records, "acc"), seeds, base);
  ASSERT_EQ(flips.won.size(), 1u);
  EXPECT_EQ(flips.won[0].arm_score, 1);
  ASSERT_EQ(flips.lost.size(), 2u);
  EXPECT_EQ(flips.lost[0].arm_score, 0.5);
  EXPECT_EQ(flips.lost[1].arm_prediction, "green") << "of the seed that lost it";
  EXPECT_EQ(Confusion(records, 1).at("blue").at("green"), 1);
}

// Two arms that are always right but for the first document, on which each says something of its own.
StudyRecords Labelled(size_t num_targets, size_t num_documents) {
  StudyRecords records;
  records.arms.resize(2);
  for (size_t i = 0; i < num_documents; ++i) {
    RecordDocument document;
    document.target = "label " + std::to_string(i % num_targets);
    for (RecordArm& arm : records.arms) arm.predictions.push_back(document.target);
    records.documents.push_back(document);
  }
  records.arms[0].predictions[0] = "nonsense";
  records.arms[1].predictions[0] = "label 1";
  return records;
}

TEST(ConfusionTest, BothSidesAreThere) {
  const Confusions found = FindConfusions(Labelled(4, 80), 0, 1);
  EXPECT_EQ(found.absent, "");
  EXPECT_EQ(found.arm.at("label 0").at("nonsense"), 1);
  EXPECT_EQ(found.arm.at("label 0").at("label 0"), 19);
  EXPECT_EQ(found.baseline.at("label 0").at("label 1"), 1);
}

TEST(ConfusionTest, WhatIsNoTargetIsJoinedWhereLabelsAreTooMany) {
  const Confusions found = FindConfusions(Labelled(kMostLabels, 80), 0, 1);
  EXPECT_EQ(found.absent, "");
  EXPECT_EQ(found.arm.at("label 0").at(kOtherLabel), 1);
  EXPECT_EQ(found.baseline.at("label 0").at("label 1"), 1);
}

TEST(ConfusionTest, TooManyTargetsAreSaid) {
  const Confusions found = FindConfusions(Labelled(kMostLabels + 1, 80), 0, 1);
  EXPECT_THAT(found.absent, HasSubstr("41 different targets"));
  EXPECT_TRUE(found.arm.empty() && found.baseline.empty());
}

}  // namespace
}  // namespace breakeven
