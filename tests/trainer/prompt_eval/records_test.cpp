// Pure. records.jsonl, summary.json and the table: other programs read them.
#include "trainer/prompt_eval/records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

namespace breakeven {
namespace {

using ::testing::HasSubstr;

TEST(RecordsTest, HasTheFieldsOfFormatOne) {
  ArmIdentity arm;
  arm.model = "tuned@step_10";
  arm.model_hash = "abc";
  arm.task = "t";
  arm.variant = "zero_shot";
  arm.template_hash = "def";
  arm.split = "dev";
  arm.step = 10;
  arm.precision = "float32";
  DocumentRequests document;
  document.texts = {{"ja", 1, 2, 2}, {"서울", 2, 6, 2}};
  document.prompt_tokens = 17;
  DocumentOutcome outcome;
  outcome.target = "ja";
  outcome.prediction = "서울";
  outcome.metrics = {{"acc", 0.0}, {"acc_norm", 1.0}};
  outcome.texts = {{-0.1 - 0.2, true}, {-1.0 / 3, false}};
  const std::string line = RecordLine(arm, {"\"d-1\"", 255, "g"}, document, outcome);
  EXPECT_EQ(
      line,
      R"({"format":1,"arm":"tuned@step_10/zero_shot","model":"tuned@step_10","model_hash":"abc","task":"t",)"
      R"("variant":"zero_shot","template_hash":"def","split":"dev","doc_id":"d-1","doc_hash":"00000000000000ff",)"
      R"("group":"g","train_size":null,"seed":null,"step":10,"precision":"float32","target":"ja",)"
      R"("prediction":"서울","metrics":{"acc":0,"acc_norm":1},"choices":[{"text":"ja",)"
      R"("loglikelihood":-0.30000000000000004,"num_tokens":1,"num_bytes":2,"num_chars":2,"is_greedy":true},)"
      R"({"text":"서울","loglikelihood":-0.3333333333333333,"num_tokens":2,"num_bytes":6,"num_chars":2,)"
      R"("is_greedy":false}],"prompt_tokens":17,"truncated":false})"
      "\n");
}

TEST(RecordsTest, FloatsReadBackExactlyAndNumbersAsIdsStayNumbers) {
  DocumentRequests document;
  document.texts = {{"x", 1, 1, 1}};
  DocumentOutcome outcome;
  outcome.texts = {{-123.45678901234567, true}};
  outcome.metrics = {{"acc", 1}};
  const auto json = nlohmann::json::parse(RecordLine({}, {"12", 0, ""}, document, outcome));
  EXPECT_EQ(json["choices"][0]["loglikelihood"].get<double>(), -123.45678901234567);
  EXPECT_EQ(json["doc_id"], 12);
  EXPECT_TRUE(json["group"].is_null());
}

EvalSummary Summary() {
  EvalSummary summary;
  summary.task = "t";
  summary.choose_by = "acc";
  ArmSummary arm;
  arm.model = "base";
  arm.variant = "zero_shot";
  arm.split = "dev";
  arm.num_documents = 40;
  arm.metrics["acc"] = {0.425, 0.0791};
  arm.metrics["acc_norm"] = {1, std::numeric_limits<double>::quiet_NaN()};
  arm.mean_prompt_tokens = 51.25;
  arm.tokens = 2050;
  arm.seconds = 3.14159;
  summary.arms = {arm};
  return summary;
}

TEST(TableTest, SaysWhatWasMeasuredAndHowSure) {
  EXPECT_EQ(FormatTable(Summary()),
            "| model | variant | split | n | acc | acc_norm | prompt tokens | tokens | seconds |\n"
            "|---|---|---|---:|---:|---:|---:|---:|---:|\n"
            "| base | zero_shot | dev | 40 | 0.4250 ± 0.0791 | 1.0000 ± – | 51.2 | 2050 | 3.1 |\n");
}

TEST(TableTest, CountsLooksAndCutPrompts) {
  EvalSummary summary = Summary();
  summary.sealed_split = summary.looked_at = "test";
  summary.look = 2;
  summary.num_looks = 3;
  summary.arms[0].chosen = true;
  summary.arms[0].num_truncated = 4;
  const std::string table = FormatTable(summary);
  EXPECT_THAT(table, HasSubstr("zero_shot \\* |"));
  EXPECT_THAT(table, HasSubstr("Look 2 of 3 at 'test'."));
  EXPECT_THAT(table, HasSubstr("4 prompt(s) were longer"));
}

TEST(SummaryTest, IsJsonWithNullForWhatIsNotDefined) {
  const auto json = nlohmann::json::parse(FormatSummaryJson(Summary()));
  EXPECT_EQ(json["format"], 1);
  const auto& arm = json["arms"][0];
  EXPECT_EQ(arm["metrics"]["acc"]["standard_error"].get<double>(), 0.0791);
  EXPECT_TRUE(arm["metrics"]["acc_norm"]["standard_error"].is_null());
  EXPECT_EQ(arm["seconds"].get<double>(), 3.14159);
  EXPECT_FALSE(json.contains("look"));
}

}  // namespace
}  // namespace breakeven
