// Pure.
#include <cmath>
#include <nlohmann/json.hpp>

#include "launch/report/scaling_report.h"

namespace breakeven {
namespace {

using Json = nlohmann::ordered_json;

// JSON has no NaN.
Json Number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
Json Ends(const Interval& interval) {
  if (!std::isfinite(interval.low)) return nullptr;
  return {{"low", Number(interval.low)}, {"high", Number(interval.high)}};
}

Json Cell(const ScalingCell& cell) {
  return {{"name", cell.Name()},           {"model", cell.model},     {"scaling", cell.scaling},
          {"world_size", cell.world_size}, {"backend", cell.backend}, {"precision", cell.precision},
          {"network", cell.network}};
}

Json Learned(const ScalingRow& row) {
  if (!row.learned.has_value()) return nullptr;
  return {{"tokens", Number(row.learned->tokens)},
          {"steps", row.learned->steps},
          {"validation_loss", Number(row.learned->validation_loss)},
          {"scores", row.learned->scores}};
}

Json Row(const ScalingRow& row) {
  Json json = Cell(row.cell);
  json.update({{"num_repeats", row.num_repeats},
               {"num_failed", row.num_failed},
               {"backend_used", row.backend},
               {"backend_label", BackendLabel(row)},
               {"label", RowLabel(row)},
               {"ranks_per_node", row.ranks_per_node},
               {"threads_per_rank", row.threads}});
  if (row.num_repeats == 0) return json;
  json.update({{"tokens_per_second", Number(row.tokens_per_second)},
               {"tokens_per_second_slowest", Number(row.slowest_tokens_per_second)},
               {"tokens_per_second_fastest", Number(row.fastest_tokens_per_second)},
               {"efficiency", Number(row.efficiency)},
               {"efficiency_interval", Ends(row.efficiency_interval)},
               {"speed_up", Number(row.speed_up)},
               {"tokens_per_step", Number(row.tokens)},
               {"flops_per_rank", Number(row.flops)},
               {"step_seconds", Number(row.step_seconds)},
               {"input_seconds", Number(row.input_seconds)},
               {"compute_seconds", Number(row.compute_seconds)},
               {"update_seconds", Number(row.update_seconds)},
               {"exposed_communication_seconds", Number(row.exposed_communication_seconds)},
               {"skew_seconds", Number(row.skew_seconds)},
               {"checkpoint_seconds", Number(row.checkpoint_seconds)},
               {"mfu", Number(row.mfu)},
               {"peak_memory_bytes", Number(row.peak_memory_bytes)},
               {"bus_bytes_per_second", Number(row.bus_bytes_per_second)},
               {"rank_hours_per_million_tokens", Number(row.rank_hours_per_million)},
               {"price_per_million_tokens", Number(row.price_per_million)},
               {"learned", Learned(row)}});
  return json;
}

Json LeftOutJson(const LeftOut& left_out) {
  return {{"median_error", Number(left_out.median_size)},
          {"largest_error", Number(left_out.largest_size)},
          {"median_error_oversubscribed", Number(left_out.oversubscribed_median)},
          {"largest_error_oversubscribed", Number(left_out.oversubscribed_largest)}};
}

// Which of the two the intervals of forecasts hold.
Json ForecastErrorJson(const ForecastError& error) {
  using Source = ForecastError::Source;
  if (error.source == Source::kUnknown) return nullptr;
  return {{"left_out", error.source == Source::kWorldSize ? "number of ranks" : "cell"},
          {"median_error", Number(error.size)}};
}

Json FitJson(const ScalingReport& report) {
  Json json = {{"contention", report.fit.contention},
               {"oversubscription", report.fit.oversubscription},
               {"compute", Json::object()},
               {"exchange", Json::object()},
               {"leave_one_cell_out", LeftOutJson(report.without_cell)},
               {"leave_one_world_size_out", LeftOutJson(report.without_world_size)},
               {"error_of_forecasts", ForecastErrorJson(report.forecast_error)},
               {"cells", Json::array()}};
  for (const auto& [name, law] : report.fit.compute) {
    json["compute"][name] = {{"seconds_per_flop", law.seconds_per_flop},
                             {"seconds_per_step", law.seconds_per_step}};
  }
  for (const auto& [name, law] : report.fit.exchange) {
    const Fabric& fabric = law.fabric;
    json["exchange"][name] = {
        {"alpha_seconds", fabric.in_node.latency_seconds},
        {"beta_seconds_per_byte", fabric.in_node.seconds_per_byte},
        {"network_alpha_seconds", fabric.between_nodes.latency_seconds},
        {"network_beta_seconds_per_byte", fabric.between_nodes.seconds_per_byte},
        {"links_told_apart", law.links_told_apart},
        {"stretch_in_a_step", law.stretch},
        {"skew_of_busy", law.skew_of_busy},
        {"skew_of_exposed", law.skew_of_exposed},
        {"num_collectives", law.num_points},
        {"error_of_forecasts", report.exchange_errors.count(name) > 0
                                   ? ForecastErrorJson(report.exchange_errors.at(name))
                                   : Json(nullptr)}};
  }
  for (size_t i = 0; i < report.fitted.size(); ++i) {
    Json cell = Cell(report.rows[report.fitted[i]].cell);
    cell.update({{"label", RowLabel(report.rows[report.fitted[i]])},
                 {"oversubscribed", report.cells[i].oversubscribed()},
                 {"measured_seconds", Number(report.cells[i].step_seconds())},
                 {"fitted_seconds", Number(report.fit.Step(report.cells[i]))},
                 {"error_without_cell", Number(report.without_cell.errors[i])},
                 {"error_without_world_size", Number(report.without_world_size.errors[i])}});
    json["cells"].push_back(std::move(cell));
  }
  return json;
}

Json ForecastJson(const ScalingReport& report, const Forecast& forecast) {
  Json json = {{"cluster", forecast.cluster},
               {"cluster_title", report.clusters.at(forecast.cluster).title},
               {"cluster_source", report.clusters.at(forecast.cluster).source},
               {"workload", forecast.workload},
               {"compute", forecast.measured_compute ? "measured here" : "assumed peak and MFU"},
               {"exchange", forecast.exchange},
               {"tokens_per_rank", report.workloads.at(forecast.workload).tokens_per_rank},
               {"not_known", forecast.not_known},
               {"weak_limit", forecast.weak_limit},
               {"strong_limit", forecast.strong_limit},
               {"points", Json::array()},
               {"best", Json::array()}};
  for (const ForecastPoint& p : forecast.points) {
    json["points"].push_back(
        {{"world_size", p.world_size},
         {"step_seconds", Number(p.step_seconds)},
         {"exposed_communication_seconds", Number(p.exposed_communication_seconds)},
         {"tokens_per_second_per_rank", Number(p.tokens_per_second_per_rank)},
         {"tokens_per_second_per_rank_interval", Ends(p.tokens_interval)},
         {"efficiency", Number(p.efficiency)},
         {"efficiency_interval", Ends(p.efficiency_interval)},
         {"strong_speed_up", Number(p.strong_speed_up)},
         {"price_per_million_tokens", Number(p.price_per_million)}});
  }
  for (const BestSettings& b : forecast.best) {
    json["best"].push_back({{"world_size", b.world_size},
                            {"shard", b.shard},
                            {"bucket_bytes", b.bucket_bytes},
                            {"last_bucket_bytes", b.last_bucket_bytes},
                            {"accumulation", b.accumulation},
                            {"efficiency", Number(b.efficiency)},
                            {"memory_bytes", Number(b.memory_bytes)},
                            {"fits", b.fits}});
  }
  return json;
}

Json PublishedJson(const PublishedComparison& c) {
  return {{"cluster", c.published.cluster},
          {"workload", c.published.workload},
          {"world_size", c.published.world_size},
          {"published_tokens_per_second_per_rank",
           c.published.tokens_per_second_per_rank > 0 ? Json(c.published.tokens_per_second_per_rank)
                                                      : Json(nullptr)},
          {"tokens_per_second_per_rank", Number(c.tokens_per_second_per_rank)},
          {"tokens_per_second_per_rank_interval", Ends(c.tokens_interval)},
          {"relative_to", c.published.relative_to},
          {"published_efficiency",
           c.published.relative_to > 0 ? Json(c.published.efficiency) : Json(nullptr)},
          {"efficiency", Number(c.efficiency)},
          {"efficiency_interval", Ends(c.efficiency_interval)},
          {"source", c.published.source}};
}

Json SimulatedJson(const SimulatedPoint& s) {
  return {{"cluster", s.cluster},
          {"workload", s.workload},
          {"world_size", s.world_size},
          {"closed_form_seconds", s.closed_form_seconds},
          {"simulated_seconds", s.simulated_seconds},
          {"closed_form_seconds_uneven", s.closed_form_spread_seconds},
          {"simulated_seconds_uneven", s.simulated_spread_seconds},
          {"num_messages", s.num_messages}};
}

}  // namespace

std::string FormatScalingJson(const ScalingReport& report, int indent) {
  Json json = {{"format", 1},
               {"title", report.title},
               {"sentence", ScalingSentence(report)},
               {"details", ScalingDetails(report)},
               {"currency", report.currency},
               {"confidence", report.confidence},
               {"cores", report.cores},
               {"num_runs", report.num_runs},
               {"num_done", report.num_done},
               {"rows", Json::array()},
               {"collectives", Json::array()},
               {"failures", report.failures},
               {"fit", report.cells.empty() ? Json(nullptr) : FitJson(report)},
               {"paying_efficiency", report.paying_efficiency},
               {"paying_speed_up", report.paying_speed_up},
               {"forecasts", Json::array()},
               {"missing_forecasts", Json::array()},
               {"published", Json::array()},
               {"simulated", Json::array()},
               {"provenance", Json::array()}};
  for (const ScalingRow& row : report.rows) json["rows"].push_back(Row(row));
  for (const CollectiveMeasurement& m : report.collectives) {
    json["collectives"].push_back({{"backend", m.backend},
                                   {"network", m.network},
                                   {"world_size", m.world_size},
                                   {"bytes", m.bytes},
                                   {"seconds", m.seconds},
                                   {"bus_bytes_per_second", m.bus_bytes_per_second},
                                   {"correct", m.correct}});
  }
  for (const Forecast& f : report.forecasts) json["forecasts"].push_back(ForecastJson(report, f));
  for (const MissingForecast& m : report.missing_forecasts)
    json["missing_forecasts"].push_back(
        {{"workload", m.workload}, {"cluster", m.cluster}, {"why", m.why}});
  for (const PublishedComparison& c : report.published)
    json["published"].push_back(PublishedJson(c));
  for (const SimulatedPoint& s : report.simulated) json["simulated"].push_back(SimulatedJson(s));
  for (const ReportFact& fact : report.provenance) {
    json["provenance"].push_back(
        {{"group", fact.group}, {"name", fact.name}, {"value", fact.value}});
  }
  return json.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace breakeven
