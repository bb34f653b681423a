// Pure.
#include "launch/report/scaling_report.h"

#include <cmath>

#include "comm/base/durable_file.h"
#include "launch/bench_text.h"
#include "launch/report/page_parts.h"
#include "launch/report/report_assets.h"

namespace breakeven {
namespace {

std::string Field(double value) { return std::isfinite(value) ? Line("%.9g", value) : ""; }

std::string Quoted(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string Record(const std::vector<std::string>& fields) {
  std::string line;
  for (size_t i = 0; i < fields.size(); ++i) line += (i == 0 ? "" : ",") + Quoted(fields[i]);
  return line + "\r\n";
}

}  // namespace

std::string FormatScalingCsv(const ScalingReport& report) {
  std::string text = Record({"model",
                             "scaling",
                             "world_size",
                             "backend",
                             "precision",
                             "network",
                             "repeats",
                             "failed",
                             "tokens_per_second",
                             "tokens_per_second_slowest",
                             "tokens_per_second_fastest",
                             "efficiency",
                             "efficiency_low",
                             "efficiency_high",
                             "speed_up",
                             "step_seconds",
                             "compute_seconds",
                             "exposed_communication_seconds",
                             "input_seconds",
                             "update_seconds",
                             "skew_seconds",
                             "checkpoint_seconds",
                             "mfu",
                             "bus_bytes_per_second",
                             "rank_hours_per_million_tokens",
                             "price_per_million_tokens",
                             "validation_loss",
                             "fitted_step_seconds",
                             "error_unseen_cell",
                             "error_unseen_world_size"});
  std::vector<size_t> place(report.rows.size(), report.fitted.size());
  for (size_t i = 0; i < report.fitted.size(); ++i) place[report.fitted[i]] = i;
  for (size_t i = 0; i < report.rows.size(); ++i) {
    const ScalingRow& row = report.rows[i];
    const bool measured = row.num_repeats > 0;
    const auto number = [&](double value) { return measured ? Field(value) : std::string(); };
    const size_t cell = place[i];
    const bool fitted = cell < report.fitted.size();
    const double loss = row.learned.has_value() ? row.learned->validation_loss : NAN;
    text += Record({row.cell.model,
                    row.cell.scaling,
                    std::to_string(row.cell.world_size),
                    row.cell.backend,
                    row.cell.precision,
                    row.cell.network,
                    std::to_string(row.num_repeats),
                    std::to_string(row.num_failed),
                    number(row.tokens_per_second),
                    number(row.slowest_tokens_per_second),
                    number(row.fastest_tokens_per_second),
                    number(row.efficiency),
                    number(row.efficiency_interval.low),
                    number(row.efficiency_interval.high),
                    number(row.speed_up),
                    number(row.step_seconds),
                    number(row.compute_seconds),
                    number(row.exposed_communication_seconds),
                    number(row.input_seconds),
                    number(row.update_seconds),
                    number(row.skew_seconds),
                    number(row.checkpoint_seconds),
                    number(row.mfu),
                    number(row.bus_bytes_per_second),
                    number(row.rank_hours_per_million),
                    number(row.price_per_million),
                    number(loss),
                    fitted ? Field(report.fit.Step(report.cells[cell])) : "",
                    fitted ? Field(report.without_cell.errors[cell]) : "",
                    fitted ? Field(report.without_world_size.errors[cell]) : ""});
  }
  return text;
}

std::string FormatForecastCsv(const ScalingReport& report) {
  std::string text = Record({"cluster", "workload", "compute", "world_size", "step_seconds",
                             "exposed_communication_seconds", "tokens_per_second_per_rank",
                             "tokens_low", "tokens_high", "efficiency", "efficiency_low",
                             "efficiency_high", "strong_speed_up", "price_per_million_tokens"});
  for (const Forecast& forecast : report.forecasts) {
    for (const ForecastPoint& p : forecast.points) {
      text += Record(
          {forecast.cluster, forecast.workload, forecast.measured_compute ? "measured" : "assumed",
           std::to_string(p.world_size), Field(p.step_seconds),
           Field(p.exposed_communication_seconds), Field(p.tokens_per_second_per_rank),
           Field(p.tokens_interval.low), Field(p.tokens_interval.high), Field(p.efficiency),
           Field(p.efficiency_interval.low), Field(p.efficiency_interval.high),
           Field(p.strong_speed_up), Field(p.price_per_million)});
    }
  }
  return text;
}

std::string FormatScalingPage(const ScalingReport& report) {
  return FillPage({report.title, ScalingSentence(report), ScalingScript(),
                   FormatScalingJson(report, /*indent=*/-1)});
}

void WriteScalingReport(const ScalingReport& report, const std::string& folder) {
  WriteFileDurably(folder + "/scaling.json", FormatScalingJson(report));
  WriteFileDurably(folder + "/scaling.csv", FormatScalingCsv(report));
  WriteFileDurably(folder + "/forecast.csv", FormatForecastCsv(report));
  WriteFileDurably(folder + "/report.md", "````\n" + FormatScalingText(report) + "````\n");
  WriteFileDurably(folder + "/report.html", FormatScalingPage(report));
}

}  // namespace breakeven
