// Pure.
#include "launch/report/scaling_report.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "comm/base/durable_file.h"
#include "launch/print_text.h"
#include "launch/report/page_parts.h"
#include "launch/report/report_assets.h"

namespace breakeven {
namespace {

std::string Field(double value) { return std::isfinite(value) ? Print("%.9g", value) : ""; }

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

// A column for each score that any row has.
std::vector<std::string> ScoreNames(const ScalingReport& report) {
  std::set<std::string> names;
  for (const ScalingRow& row : report.rows) {
    if (!row.learned.has_value()) continue;
    for (const auto& [name, score] : row.learned->scores) names.insert(name);
  }
  return {names.begin(), names.end()};
}

void AddScores(const ScalingRow& row, const std::vector<std::string>& names,
               std::vector<std::string>& fields) {
  for (const std::string& name : names) {
    const bool scored = row.learned.has_value() && row.learned->scores.count(name) > 0;
    fields.push_back(scored ? Field(row.learned->scores.at(name)) : "");
  }
}

constexpr char kColumns[] =
    "model,scaling,world_size,backend,backend_used,precision,network,repeats,failed,tokens_per_"
    "second,"
    "tokens_per_second_slowest,tokens_per_second_fastest,efficiency,efficiency_low,"
    "efficiency_high,speed_up,step_seconds,compute_seconds,exposed_communication_seconds,"
    "input_seconds,update_seconds,skew_seconds,checkpoint_seconds,mfu,bus_bytes_per_second,"
    "rank_hours_per_million_tokens,price_per_million_tokens,validation_loss,fitted_step_seconds,"
    "error_unseen_cell,error_unseen_world_size";

// `place`: of the row among the cells of the fit; behind them where it is none.
std::vector<std::string> RowFields(const ScalingReport& report, const ScalingRow& row,
                                   size_t place) {
  const ScalingCell& cell = row.cell;
  std::vector<std::string> fields = {cell.model,
                                     cell.scaling,
                                     std::to_string(cell.world_size),
                                     cell.backend,
                                     row.backend,
                                     cell.precision,
                                     cell.network,
                                     std::to_string(row.num_repeats),
                                     std::to_string(row.num_failed)};
  const double loss = row.learned.has_value() ? row.learned->validation_loss : NAN;
  for (const double value :
       {row.tokens_per_second, row.slowest_tokens_per_second, row.fastest_tokens_per_second,
        row.efficiency, row.efficiency_interval.low, row.efficiency_interval.high, row.speed_up,
        row.step_seconds, row.compute_seconds, row.exposed_communication_seconds, row.input_seconds,
        row.update_seconds, row.skew_seconds, row.checkpoint_seconds, row.mfu,
        row.bus_bytes_per_second, row.rank_hours_per_million, row.price_per_million, loss})
    fields.push_back(row.num_repeats > 0 ? Field(value) : "");
  const bool fitted = place < report.fitted.size();
  fields.push_back(fitted ? Field(report.fit.Step(report.cells[place])) : "");
  fields.push_back(fitted ? Field(report.without_cell.errors[place]) : "");
  fields.push_back(fitted ? Field(report.without_world_size.errors[place]) : "");
  return fields;
}

}  // namespace

std::string FormatScalingCsv(const ScalingReport& report) {
  const std::vector<std::string> scores = ScoreNames(report);
  std::string text = kColumns;
  for (const std::string& name : scores) text += "," + Quoted("score " + name);
  text += "\r\n";
  std::vector<size_t> place(report.rows.size(), report.fitted.size());
  for (size_t i = 0; i < report.fitted.size(); ++i) place[report.fitted[i]] = i;
  for (size_t i = 0; i < report.rows.size(); ++i) {
    std::vector<std::string> fields = RowFields(report, report.rows[i], place[i]);
    AddScores(report.rows[i], scores, fields);
    text += Record(fields);
  }
  return text;
}

std::string FormatForecastCsv(const ScalingReport& report) {
  std::string text =
      Record({"cluster", "workload", "compute", "exchange", "world_size", "step_seconds",
              "exposed_communication_seconds", "tokens_per_second_per_rank", "tokens_low",
              "tokens_high", "efficiency", "efficiency_low", "efficiency_high", "strong_speed_up",
              "price_per_million_tokens"});
  for (const Forecast& forecast : report.forecasts) {
    for (const ForecastPoint& p : forecast.points) {
      text += Record(
          {forecast.cluster, forecast.workload, forecast.measured_compute ? "measured" : "assumed",
           forecast.exchange, std::to_string(p.world_size), Field(p.step_seconds),
           Field(p.exposed_communication_seconds), Field(p.tokens_per_second_per_rank),
           Field(p.tokens_interval.low), Field(p.tokens_interval.high), Field(p.efficiency),
           Field(p.efficiency_interval.low), Field(p.efficiency_interval.high),
           Field(p.strong_speed_up), Field(p.price_per_million)});
    }
  }
  return text;
}

std::string FormatScalingMarkdown(const ScalingReport& report) {
  const std::string text = FormatScalingText(report);
  // Titles and failures are others' words: no backticks in them may end the block.
  size_t longest = 0;
  size_t length = 0;
  for (const char c : text) {
    length = c == '`' ? length + 1 : 0;
    longest = std::max(longest, length);
  }
  const std::string fence(std::max<size_t>(3, longest + 1), '`');
  return fence + "\n" + text + fence + "\n";
}

std::string FormatScalingPage(const ScalingReport& report) {
  return FillPage({report.title, ScalingSentence(report), ScalingScript(),
                   FormatScalingJson(report, /*indent=*/-1)});
}

void WriteScalingReport(const ScalingReport& report, const std::string& folder) {
  WriteFileDurably(folder + "/scaling.json", FormatScalingJson(report));
  WriteFileDurably(folder + "/scaling.csv", FormatScalingCsv(report));
  WriteFileDurably(folder + "/forecast.csv", FormatForecastCsv(report));
  WriteFileDurably(folder + "/report.md", FormatScalingMarkdown(report));
  WriteFileDurably(folder + "/report.html", FormatScalingPage(report));
}

}  // namespace breakeven
