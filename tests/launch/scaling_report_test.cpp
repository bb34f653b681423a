// Pure. A scaling report: what its CSV, text and Markdown hold.
#include "launch/report/scaling_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/base/durable_file.h"
#include "tests/support/temp_folder.h"

namespace breakeven {
namespace {

using testing::HasSubstr;

ScalingReport Example() {
  ScalingReport report;
  report.title = "Example";
  report.num_runs = report.num_done = 2;
  for (const char* precision : {"float32", "bfloat16"}) {
    ScalingRow row;
    row.cell = {"m", "strong", 1, "one_rank", precision, "node"};
    row.num_repeats = 1;
    row.tokens_per_second = 100;
    report.rows.push_back(row);
  }
  return report;
}

TEST(ScalingCsvTest, ScoresAreColumns) {
  ScalingReport report = Example();
  report.rows[0].learned.emplace().scores = {{"t v dev acc", 0.5}};
  report.rows[1].learned.emplace().scores = {{"t v dev acc", 0.25}, {"t v dev f1,macro", 0.125}};
  const std::string csv = FormatScalingCsv(report);
  EXPECT_THAT(
      csv, HasSubstr(",error_unseen_world_size,score t v dev acc,\"score t v dev f1,macro\"\r\n"));
  EXPECT_THAT(csv, HasSubstr(",0.5,\r\n"));
  EXPECT_THAT(csv, HasSubstr(",0.25,0.125\r\n"));
}

TEST(ScalingMarkdownTest, NothingEndsTheBlockBeforeItsEnd) {
  ScalingReport report = Example();
  report.title = "`````";
  report.failures["step_m"] = "exit code 1: no such file\n``````\n# Not a heading";
  TempFolder folder;
  WriteScalingReport(report, folder.path());
  const std::string text = ReadFile(folder / "report.md");
  const std::string fence(7, '`');
  EXPECT_TRUE(text.starts_with(fence + "\n"));
  EXPECT_TRUE(text.ends_with("\n" + fence + "\n"));
  EXPECT_EQ(text.find(fence, 1), text.size() - fence.size() - 1);
  EXPECT_TRUE(FormatScalingMarkdown(Example()).starts_with("```\n"));
}

TEST(ScalingSentenceTest, IsNotOfMoreRanksThanCpus) {
  ScalingReport report = Example();
  report.cores = 2;
  for (const int64_t n : {2, 4}) {
    ScalingRow row = report.rows[0];
    row.cell.world_size = n;
    row.speed_up = 1.5;
    report.rows.push_back(row);
  }
  // Nodes of a rank each that share the two CPUs.
  for (const size_t i : {2, 3}) {
    report.fitted.push_back(i);
    FitCell& cell = report.cells.emplace_back();
    cell.topology = {report.rows[i].cell.world_size, 1};
    cell.cores = 2.0 / static_cast<double>(cell.topology.num_nodes());
  }
  EXPECT_TRUE(ScalingSentence(report).starts_with("2 ranks ")) << ScalingSentence(report);
}

TEST(ScalingDetailsTest, SayWhichErrorIntervalsHold) {
  ScalingReport report = Example();
  const auto details = [&] { return testing::PrintToString(ScalingDetails(report)); };
  report.forecast_error = {ForecastError::Source::kWorldSize, 0.125};
  EXPECT_THAT(details(), testing::Not(HasSubstr("Intervals"))) << "no forecast rests on it";
  report.forecasts.emplace_back().measured_compute = true;
  EXPECT_THAT(details(), HasSubstr("a number of ranks that was not seen, 12.5 %"));
  report.forecast_error.source = ForecastError::Source::kCell;
  EXPECT_THAT(details(), HasSubstr("a cell that was not seen, 12.5 %"));
  report.forecast_error = {};
  EXPECT_THAT(details(), HasSubstr("no error of the model"));
}

TEST(ScalingDetailsTest, SpeakOfMeasuredExchangeWithAssumedComputingToo) {
  ScalingReport report = Example();
  const auto details = [&] { return testing::PrintToString(ScalingDetails(report)); };
  report.forecast_error = {ForecastError::Source::kWorldSize, 0.125};
  report.forecasts.emplace_back().measured_exchange = "mpi on node";
  EXPECT_THAT(details(), HasSubstr("exchange what whole steps have: the error of predicting a "
                                   "number of ranks that was not seen, 12.5 %"));
  EXPECT_THAT(details(), testing::Not(HasSubstr("compute as measured")));
  report.exchange_errors["mpi on node"] = {ForecastError::Source::kCell, 0.5};
  EXPECT_THAT(details(), HasSubstr("that exchange by mpi on node as measured here hold for the "
                                   "exchange alone the error of predicting a cell that was not "
                                   "seen, 50.0 %"));
}

TEST(ScalingBackendTest, WhatMovedTheGradientsIsShownAndADifferenceIsSaid) {
  ScalingReport report = Example();
  for (const char* asked : {"shared_memory", "mpi", "auto"}) {
    ScalingRow row = report.rows[0];
    row.cell.backend = asked;
    row.cell.world_size = 2;
    row.backend = "nccl";
    report.rows.push_back(row);
  }
  EXPECT_THAT(ScalingSentence(report), HasSubstr("nccl (asked for shared_memory)"));
  const std::string details = testing::PrintToString(ScalingDetails(report));
  EXPECT_THAT(details, HasSubstr("mpi was nccl in 1, shared_memory was nccl in 1."));
  const std::string text = FormatScalingText(report);
  const std::string json = FormatScalingJson(report, -1);
  for (const char* label :
       {"m_strong_n2_mpi_float32_node [nccl]", "m_strong_n1_one_rank_float32_node",
        "m_strong_n2_auto_float32_node [nccl]"}) {
    EXPECT_THAT(text, HasSubstr(label));
    EXPECT_THAT(json, HasSubstr("\"label\":\"" + std::string(label) + "\""));
  }
  EXPECT_THAT(json, HasSubstr(R"x("backend_label":"nccl (asked for mpi)")x"));
  EXPECT_THAT(json, HasSubstr(R"x("backend_label":"nccl (auto)")x"));
  for (ScalingRow& row : report.rows) row.backend = row.cell.backend;
  EXPECT_THAT(FormatScalingText(report), testing::Not(HasSubstr("asked for")));
}

TEST(ScalingForecastTextTest, TheEndOfWhatIsKnownIsNotTheEndOfWhatPays) {
  ScalingReport report = Example();
  report.clusters["c"];
  report.workloads["w"];
  Forecast& forecast = report.forecasts.emplace_back();
  forecast.cluster = "c";
  forecast.workload = "w";
  forecast.points.resize(2);
  forecast.points[1].world_size = 2;
  forecast.weak_limit = 2;
  forecast.strong_limit = 1;
  EXPECT_THAT(FormatScalingText(report), HasSubstr("pay up to 2, the most that are forecast ("));
  forecast.not_known = {4, 8};
  EXPECT_THAT(FormatScalingText(report), HasSubstr("pay up to 2, not known beyond ("));
  EXPECT_THAT(FormatScalingText(report), HasSubstr("fixed up to 1\n"));
  EXPECT_THAT(FormatScalingJson(report, -1), HasSubstr(R"("not_known":[4,8])"));
}

TEST(ScalingForecastTextTest, WhatIsNotForecastIsNamed) {
  ScalingReport report = Example();
  report.missing_forecasts.push_back({"w", "c", "\"mpi on net\" was not measured"});
  EXPECT_THAT(FormatScalingText(report),
              HasSubstr("Not forecast: w on c: \"mpi on net\" was not measured.\n"));
  EXPECT_THAT(FormatScalingJson(report, -1), HasSubstr(R"("missing_forecasts":[{"workload":"w")"));
}

TEST(SimulationTextTest, SaysWhatBothFormsShare) {
  EXPECT_THAT(FormatSimulationText({SimulatedPoint{}}), HasSubstr("in part by construction"));
}

}  // namespace
}  // namespace breakeven
