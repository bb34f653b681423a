// Pure. A study's report: what is written reads back, and no text of the data breaks out of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "launch/report/report_json.h"
#include "launch/report/report_page.h"
#include "launch/report/report_text.h"
#include "tests/support/report_example.h"
#include "tests/support/temp_folder.h"

namespace breakeven {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

const StudyReport& Example() {
  static const StudyReport report = ExampleReport();
  return report;
}

TEST(ReportJsonTest, FloatsReadBackExactly) {
  const json read = json::parse(FormatReportJson(Example()));
  const Comparison& headline = Example().findings.headline;
  EXPECT_EQ(read["format"], 1);
  EXPECT_EQ(read["headline"]["difference"].get<double>(), headline.difference);
  EXPECT_EQ(read["headline"]["interval"]["low"].get<double>(), headline.deciding.interval.low);
  EXPECT_EQ(read["headline"]["p_value"].get<double>(), headline.p_value);
  EXPECT_EQ(read["arms"].size(), Example().findings.arms.size());
  EXPECT_EQ(read["won"].size(), Example().findings.flips.won.size());
  EXPECT_EQ(read["training"][1]["losses"][7].get<double>(), Example().training[1].losses[7]);
  EXPECT_EQ(read["prompts"]["0"], Example().documents[0].prompt);
}

TEST(ReportJsonTest, AbsentStaysAbsentAndInfiniteIsSaid) {
  StudyReport report = Example();
  report.findings.costs->pay_back.queries = kInfinity;
  report.findings.costs->pay_back.interval = {1000, kInfinity};
  report.findings.headline.deciding.interval = {-kInfinity,
                                                std::numeric_limits<double>::quiet_NaN()};
  report.findings.headline.documents_to_settle.reset();
  report.findings.regression.reset();
  json read = json::parse(FormatReportJson(report));
  EXPECT_EQ(read["costs"]["pay_back"]["queries"], "infinity");
  EXPECT_EQ(read["costs"]["pay_back"]["interval"]["high"], "infinity");
  EXPECT_EQ(read["headline"]["interval"]["low"], "-infinity");
  EXPECT_TRUE(read["headline"]["interval"]["high"].is_null());
  EXPECT_TRUE(read["headline"]["documents_to_settle"].is_null());
  EXPECT_TRUE(read["regression"].is_null());
  report.findings.costs.reset();
  read = json::parse(FormatReportJson(report));
  EXPECT_TRUE(read["costs"].is_null());
}

TEST(ReportJsonTest, BytesThatAreNoUtf8AreReplaced) {
  StudyReport report = Example();
  report.title = "a\xff z";
  EXPECT_EQ(json::parse(FormatReportJson(report))["title"], "a\uFFFD z");
}

TEST(ReportJsonTest, LimitsKeepTheCountsAndCutBetweenCharacters) {
  StudyReport report = Example();
  report.findings.flips.won[0].target = "ab\u00e9\u00e9\u00e9";
  const json read = json::parse(FormatReportJson(report, {.max_flips = 1, .max_text_bytes = 5}));
  EXPECT_EQ(read["num_won"], report.findings.flips.won.size());
  ASSERT_EQ(read["won"].size(), 1u);
  EXPECT_EQ(read["won"][0]["target"], "ab\u00e9…");
  EXPECT_EQ(read["prompts"].size(), 2u) << "only of the flips that are shown";
}

size_t CountOf(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++count;
  return count;
}

TEST(ReportPageTest, NoTextOfTheDataBecomesMarkup) {
  StudyReport report = Example();
  const std::string before = FormatReportPage(report);
  report.title = report.task = report.model = kHostileText;
  report.variants[0].name = report.training[0].cell = kHostileText;
  report.provenance[0].value = kHostileText;
  report.findings.flips.won[0].target = kHostileText;
  report.findings.arms[report.input.candidate].arm.name = kHostileText;
  report.findings.cautions.push_back("{{data}} {{nothing}}");
  const std::string page = FormatReportPage(report);
  EXPECT_EQ(CountOf(page, "</script"), CountOf(before, "</script"));
  EXPECT_EQ(CountOf(page, "<script"), CountOf(before, "<script"));
  EXPECT_EQ(CountOf(page, "<!--"), CountOf(before, "<!--"));
  EXPECT_EQ(CountOf(page, "<img"), 0u);
  EXPECT_THAT(page, HasSubstr("{{data}} {{nothing}}")) << "what is put in is not looked at again";
}

TEST(ReportPageTest, HugeStudiesStayReadable) {
  StudyReport report = Example();
  Flip flip = report.findings.flips.won[0];
  flip.target.assign(20000, 'x');
  report.findings.flips.won.assign(100000, flip);
  EXPECT_LT(FormatReportPage(report).size(), 30u << 20);
}

TEST(ReportMarkdownTest, TellsTheStoryAndEscapesTables) {
  StudyReport report = Example();
  report.variants[0].name = "a|b\nc<script>";
  const std::string text = FormatReportMarkdown(report);
  EXPECT_THAT(text, HasSubstr(HeadlineSentence(report)));
  EXPECT_THAT(text, HasSubstr("a\\|b c&lt;script>"));
  for (const char* part : {"## Verdict", "## Learning curve", "## Costs", "## Six questions",
                           "## Documents that changed", "## Provenance"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  report.findings.costs.reset();
  EXPECT_THAT(FormatReportMarkdown(report),
              testing::AllOf(HasSubstr("No query was timed"), Not(HasSubstr("paid back"))));
}

TEST(ReportMarkdownTest, WhatIsComputedIsShown) {
  StudyReport report = Example();
  report.findings.arms[1].against_baseline->verdict = Verdict::kCannotTell;
  report.findings.arms[1].against_baseline->documents_to_settle = 4321;
  const std::string text = FormatReportMarkdown(report);
  const Comparison& single = *report.findings.arms[1].against_baseline;
  const ScoreFormat format = ScoreFormatOf(report);
  for (const std::string& part :
       {std::string("| could have shown | would settle it |"),
        "cannot tell | " + format.Effect(single.minimum_detectable_effect) + " | 4,320 documents |",
        std::string("McNemar's exact p"), std::string("| 1,000 queries, energy | 2.5"),
        std::string("| 1,000 queries behind a prefix cache, device time | 50"),
        std::string("| few-shot 50 | 2,300 | not timed |"),
        std::string("Served with a prefix cache: "), std::string("## Regression set: plain prose"),
        std::string("log-likelihood per word in nats, tuned")}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

// An interval alone promises more than it holds: its coverage stands wherever it is said.
TEST(ReportTextTest, BreakEvenIntervalsSayTheirCoverage) {
  StudyReport report = Example();
  PayBack& back = report.findings.costs->pay_back;
  back.kind = PayBack::Kind::kAfter;
  back.queries = 2000;
  back.interval = {1500, 2600};
  back.months.reset();
  back.measured_coverage = 0.785;
  EXPECT_EQ(PayBackText(back, 0.95),
            "Training has paid back after about 2,000 queries (95 % interval 1,500 to 2,600; such "
            "intervals held in 78.5 % of timings simulated from these).");
  LearningCurve& curve = report.findings.curves[0].curve;
  curve.examples_to_win.measured_coverage = 0.935;
  EXPECT_THAT(ExamplesText(curve, 0.95), HasSubstr("held in 93.5 % of studies simulated"));
  EXPECT_THAT(HeadlineDetails(report), testing::Contains(HasSubstr("78.5 %")));
  EXPECT_THAT(FormatReportMarkdown(report), testing::AllOf(HasSubstr("78.5 %"), HasSubstr("93.5")));
  const json read = json::parse(FormatReportJson(report));
  EXPECT_EQ(read["costs"]["pay_back"]["text"], PayBackText(back, 0.95));
  EXPECT_EQ(read["curves"][0]["examples_to_win"]["text"], ExamplesText(curve, 0.95));
  back.measured_coverage.reset();
  EXPECT_THAT(PayBackText(back, 0.95), HasSubstr("how often such intervals hold was not measured"));
}

TEST(ReportTextTest, AMetricThatWasTurnedHasTheNameOfItsUnit) {
  StudyReport report = Example();
  report.findings.metric = "word_perplexity";
  EXPECT_THAT(HeadlineDetails(report)[0],
              HasSubstr("Measured by log-likelihood per word in nats (word_perplexity, turned "
                        "round so that more is better) on 500"));
  EXPECT_THAT(FormatReportMarkdown(report), HasSubstr("| arm | log-likelihood per word in nats |"));
  const json read = json::parse(FormatReportJson(report));
  EXPECT_EQ(read["metric"], "word_perplexity");
  EXPECT_EQ(read["metric_shown"], "log-likelihood per word in nats");
}

TEST(ReportJsonTest, TheRegressionSetKeepsItsNameAndMetric) {
  const json read = json::parse(FormatReportJson(Example()));
  EXPECT_EQ(read["regression"]["name"], "plain prose");
  EXPECT_EQ(read["regression"]["metric"], "word_perplexity");
  EXPECT_EQ(read["regression"]["metric_shown"], "log-likelihood per word in nats");
  EXPECT_EQ(read["regression"]["fraction"], false);
  EXPECT_EQ(read["regression"]["difference"].get<double>(),
            Example().findings.regression->difference);
  EXPECT_THAT(AnswerQuestions(Example())[3].answer, HasSubstr("regression set “plain prose”"));
}

TEST(ReportJsonTest, BothSidesOfTheConfusionOrWhyThereIsNone) {
  StudyReport report = Example();
  json read = json::parse(FormatReportJson(report));
  EXPECT_EQ(read["confusion"].size(), 4u);
  EXPECT_EQ(read["confusion_baseline"].size(), 4u);
  EXPECT_NE(read["confusion_baseline"], read["confusion"]);
  EXPECT_EQ(read["confusion_absent"], "");
  report.findings.confusions = {{}, {}, "Too many."};
  read = json::parse(FormatReportJson(report));
  EXPECT_EQ(read["confusion_absent"], "Too many.");
}

TEST(ReportTextTest, EachVerdictHasItsSentence) {
  StudyReport report = Example();
  Comparison& c = report.findings.headline;
  c.arm_score = 0.78;
  c.baseline_score = 0.70;
  c.difference = 0.08;
  c.deciding.interval = {0.04, 0.12};
  c.verdict = Verdict::kBetter;
  EXPECT_EQ(HeadlineSentence(report),
            "Fine-tuning wins. “tuned 800” beats “best prompt”: 78.0 % against 70.0 %, +8.0 points "
            "(95 % interval +4.0 to +12.0 points).");
  c.verdict = Verdict::kCannotTell;
  c.equivalent = false;
  c.documents_to_settle = 1234;
  EXPECT_THAT(HeadlineSentence(report), HasSubstr("Cannot tell whether “tuned 800” beats"));
  EXPECT_THAT(HeadlineDetails(report), testing::Contains(HasSubstr("About 1,230 test documents")));
  c.verdict = Verdict::kWorse;
  c.difference = -0.08;
  c.deciding.interval = {-0.12, -0.04};
  std::swap(c.arm_score, c.baseline_score);
  EXPECT_EQ(HeadlineSentence(report),
            "The prompt wins. “best prompt” beats “tuned 800”: 78.0 % against 70.0 %, +8.0 points "
            "(95 % interval +4.0 to +12.0 points).");
}

TEST(ReportTextTest, NumbersAsPeopleReadThem) {
  EXPECT_EQ(CountText(1234567, ""), "1,234,567");
  EXPECT_EQ(CountText(-1234, ""), "-1,234");
  EXPECT_EQ(CountText(999, ""), "999");
  EXPECT_EQ(CountText(12.34, ""), "12.3");
  EXPECT_EQ(CountText(kInfinity, "never"), "never");
  EXPECT_EQ(SecondsText(0.0123), "12.3 ms");
  EXPECT_EQ(SecondsText(600), "10 min");
  const ScoreFormat plain{false};
  EXPECT_EQ(plain.Score(-1.25), "-1.25");
  EXPECT_EQ(plain.Difference(0.5), "+0.5");
}

TEST(WriteStudyReportTest, WritesThreeFilesOrSaysWhy) {
  const TempFolder folder;
  WriteStudyReport(Example(), folder.path());
  EXPECT_EQ(ReadFile(folder / "report.json"), FormatReportJson(Example()));
  EXPECT_EQ(ReadFile(folder / "report.md"), FormatReportMarkdown(Example()));
  EXPECT_EQ(ReadFile(folder / "report.html"), FormatReportPage(Example()));
  try {
    WriteStudyReport(Example(), folder / "absent");
    ADD_FAILURE() << "wrote into a folder that is not there";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCannotCreate) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("report.json"));
  }
}

}  // namespace
}  // namespace breakeven
