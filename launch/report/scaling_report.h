// Pure. A scaling sweep's report: everything that its page, JSON, CSV and text show.
#ifndef BREAKEVEN_LAUNCH_REPORT_SCALING_REPORT_H_
#define BREAKEVEN_LAUNCH_REPORT_SCALING_REPORT_H_

#include <string>
#include <vector>

#include "launch/report/study_report.h"
#include "trainer/scaling/forecast.h"
#include "trainer/scaling/scaling_fit.h"
#include "trainer/scaling/scaling_table.h"

namespace breakeven {

// A workload on a cluster that there is no forecast of.
struct MissingForecast {
  std::string workload;
  std::string cluster;
  std::string why;
};

struct ScalingReport {
  std::string title;
  std::string currency;
  double confidence = 0.95;
  int64_t cores = 1;
  int64_t num_runs = 0;
  int64_t num_done = 0;
  std::vector<ScalingRow> rows;
  std::vector<CollectiveMeasurement> collectives;
  std::map<std::string, std::string> failures;
  // Of the rows that `fitted` names, in that order.
  std::vector<size_t> fitted;
  std::vector<FitCell> cells;
  ScalingFit fit;
  LeftOut without_cell;
  LeftOut without_world_size;
  ForecastError forecast_error;                          // that intervals of forecasts hold
  std::map<std::string, ForecastError> exchange_errors;  // likewise, of each exchange alone
  std::map<std::string, ClusterConfig> clusters;
  std::map<std::string, WorkloadConfig> workloads;
  double paying_efficiency = 0;
  double paying_speed_up = 0;
  std::vector<Forecast> forecasts;
  std::vector<MissingForecast> missing_forecasts;
  std::vector<PublishedComparison> published;
  std::vector<SimulatedPoint> simulated;
  std::vector<ReportFact> provenance;
};

// One sentence: how fast the most ranks were, or that nothing is measured yet.
std::string ScalingSentence(const ScalingReport& report);
std::vector<std::string> ScalingDetails(const ScalingReport& report);

// "format": 1; numbers as in report_json.h.
std::string FormatScalingJson(const ScalingReport& report, int indent = 1);
// One line a measured cell, and one line a forecast point; RFC 4180, empty where there is no number.
std::string FormatScalingCsv(const ScalingReport& report);
std::string FormatForecastCsv(const ScalingReport& report);
// For a terminal.
std::string FormatScalingText(const ScalingReport& report);
// The same in a code block of Markdown, whatever the text holds.
std::string FormatScalingMarkdown(const ScalingReport& report);
std::string FormatSimulationText(const std::vector<SimulatedPoint>& points);
// One self-contained file, as the study's.
std::string FormatScalingPage(const ScalingReport& report);

// report.html, report.md (the text), scaling.json, scaling.csv, forecast.csv in `folder`, each whole or not at all.
void WriteScalingReport(const ScalingReport& report, const std::string& folder);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_REPORT_SCALING_REPORT_H_
