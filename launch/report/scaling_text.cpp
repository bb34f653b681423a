// Pure. The report as text: sentences, and the tables of a terminal.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "comm/base/progress.h"
#include "comm/base/timing.h"
#include "launch/print_text.h"
#include "launch/report/scaling_report.h"

namespace breakeven {
namespace {

std::string PerCent(double share) {
  return std::isfinite(share) ? Print("%.1f %%", 100 * share) : "-";
}
std::string PerCentRange(const Interval& interval) {
  return std::isfinite(interval.low) ? Print("%.1f-%.1f", 100 * interval.low, 100 * interval.high)
                                     : "-";
}
std::string Short(double seconds) {
  return std::isfinite(seconds) ? FormatShortTime(seconds) : "-";
}
std::string Rate(double tokens_per_second) {
  return FormatCount(static_cast<int64_t>(std::llround(tokens_per_second)));
}

std::string Measured(const ScalingReport& report) {
  size_t width = 4;
  for (const ScalingRow& row : report.rows) width = std::max(width, RowLabel(row).size());
  const int w = static_cast<int>(width);
  std::string text =
      "\nMEASURED (medians of repeats; efficiency = a rank's speed against the fewest ranks)\n";
  text += Print(
      "%-*s"
      "  %4s  %9s  %19s  %7s  %13s  %8s  %8s  %8s  %8s  %7s  %6s\n",
      w, "cell", "runs", "tokens/s", "slowest-fastest", "effic.", "interval", "step", "compute",
      "exposed", "update", "input", "MFU");
  for (const ScalingRow& row : report.rows) {
    if (row.num_repeats == 0) {
      text += Print("%-*s  %4d  not measured%s\n", w, RowLabel(row).c_str(), 0,
                    row.num_failed > 0 ? ": failed" : "");
      continue;
    }
    text += Print(
        "%-*s  %4lld  %9.1f  %19s  %7s  %13s  %8s  %8s  %8s  %8s  %7s  %6s\n", w,
        RowLabel(row).c_str(), static_cast<long long>(row.num_repeats), row.tokens_per_second,
        Print("%.1f-%.1f", row.slowest_tokens_per_second, row.fastest_tokens_per_second).c_str(),
        PerCent(row.efficiency).c_str(), PerCentRange(row.efficiency_interval).c_str(),
        Short(row.step_seconds).c_str(), Short(row.compute_seconds).c_str(),
        Short(row.exposed_communication_seconds).c_str(), Short(row.update_seconds).c_str(),
        Short(row.input_seconds).c_str(), PerCent(row.mfu).c_str());
  }
  return text;
}

std::string Costs(const ScalingReport& report) {
  std::string text = "\nEqual tokens, and what a million of them costs\n";
  for (const ScalingRow& row : report.rows) {
    if (row.num_repeats == 0) continue;
    text += Print("%-44s  %6.2f rank-hours%s", RowLabel(row).c_str(), row.rank_hours_per_million,
                  std::isfinite(row.price_per_million)
                      ? Print(", %.3g %s", row.price_per_million, report.currency.c_str()).c_str()
                      : "");
    if (std::isfinite(row.bus_bytes_per_second))
      text += Print(", bus %.2f GB/s (%s)", row.bus_bytes_per_second / 1e9, row.backend.c_str());
    if (row.learned.has_value()) {
      const TrainMeasurement& learned = *row.learned;
      text += Print("; after %s tokens in %lld steps", Rate(learned.tokens).c_str(),
                    static_cast<long long>(learned.steps));
      if (std::isfinite(learned.validation_loss))
        text += Print(", validation loss %.4f", learned.validation_loss);
      for (const auto& [name, score] : learned.scores)
        text += Print(", %s %.3f", name.c_str(), score);
      if (std::isfinite(learned.checkpoint_seconds))
        text += ", a checkpoint " + Short(learned.checkpoint_seconds);
    }
    text += "\n";
  }
  return text;
}

std::string LinkText(const LinkCost& link) {
  return Print("alpha %s, 1/beta %.3f GB/s;", Short(link.latency_seconds).c_str(),
               1e-9 / link.seconds_per_byte);
}

std::string Signed(double share) {
  return std::isfinite(share) ? Print("%+.1f %%", 100 * share) : "-";
}

std::string LeftOutLine(const char* what, const LeftOut& left_out) {
  return Print("%s: median error %s, largest %s; cells with more ranks than CPUs %s, largest %s\n",
               what, PerCent(left_out.median_size).c_str(), PerCent(left_out.largest_size).c_str(),
               PerCent(left_out.oversubscribed_median).c_str(),
               PerCent(left_out.oversubscribed_largest).c_str());
}

std::string FitText(const ScalingReport& report) {
  if (report.cells.empty()) return "";
  std::string text = Print(
      "\nMODEL (relative least squares, non-negative): step = crowd x (a FLOPs + c) + g sum T(S) + "
      "skew\n"
      "a full node's neighbours cost %s; ranks beyond its CPUs %s more than taking turns\n",
      PerCent(report.fit.contention).c_str(), PerCent(report.fit.oversubscription).c_str());
  for (const auto& [name, law] : report.fit.compute) {
    text += Print("%-36s  %.1f GFLOP/s a rank alone, %s a step\n", name.c_str(),
                  law.seconds_per_flop > 0 ? 1e-9 / law.seconds_per_flop : 0.0,
                  Short(law.seconds_per_step).c_str());
  }
  for (const auto& [name, law] : report.fit.exchange) {
    text += Print("%-36s ", name.c_str());
    if (!law.links_told_apart)
      text += " a node's link and the network cannot be told apart by these numbers of ranks:";
    if (law.fabric.in_node.seconds_per_byte > 0)
      text += " in a node " + LinkText(law.fabric.in_node);
    if (law.fabric.between_nodes.seconds_per_byte > 0)
      text += " between nodes " + LinkText(law.fabric.between_nodes);
    text +=
        Print(" in a step %.2f times that; later ranks: %s of busy, %s of exposed seconds\n",
              law.stretch, PerCent(law.skew_of_busy).c_str(), PerCent(law.skew_of_exposed).c_str());
  }
  text += LeftOutLine("unseen cell", report.without_cell);
  text += LeftOutLine("unseen number of ranks", report.without_world_size);
  for (size_t i = 0; i < report.fitted.size(); ++i) {
    text += Print("  %-44s  measured %8s  fitted %8s  unseen cell %8s  unseen ranks %8s%s\n",
                  RowLabel(report.rows[report.fitted[i]]).c_str(),
                  Short(report.cells[i].step_seconds()).c_str(),
                  Short(report.fit.Step(report.cells[i])).c_str(),
                  Signed(report.without_cell.errors[i]).c_str(),
                  Signed(report.without_world_size.errors[i]).c_str(),
                  report.cells[i].oversubscribed() ? "  more ranks than CPUs" : "");
  }
  return text;
}

// The limit of what is known is not the limit of what pays.
std::string UpTo(const Forecast& forecast, int64_t limit) {
  const std::string text = std::to_string(limit);
  if (forecast.points.empty() || limit < forecast.points.back().world_size) return text;
  return text +
         (forecast.not_known.empty() ? ", the most that are forecast" : ", not known beyond");
}

std::string ForecastText(const ScalingReport& report) {
  std::string text;
  for (const Forecast& forecast : report.forecasts) {
    text += Print(
        "\nPREDICTED, nothing of it measured: %s on %s, %lld tokens a rank and step, computing "
        "%s\n",
        forecast.workload.c_str(), report.clusters.at(forecast.cluster).title.c_str(),
        static_cast<long long>(report.workloads.at(forecast.workload).tokens_per_rank),
        forecast.measured_compute ? "as measured here" : "by peak and MFU");
    if (forecast.exchange != "stated") text += "exchange " + forecast.exchange + "\n";
    for (const ForecastPoint& p : forecast.points) {
      text += Print("%6lld ranks  efficiency %6s [%s]  %11s tokens/s a rank  fixed batch x %.1f\n",
                    static_cast<long long>(p.world_size), PerCent(p.efficiency).c_str(),
                    PerCentRange(p.efficiency_interval).c_str(),
                    Rate(p.tokens_per_second_per_rank).c_str(), p.strong_speed_up);
    }
    text += Print(
        "ranks pay up to %s (each at least %s of one alone); with the global batch fixed up to "
        "%s\n",
        UpTo(forecast, forecast.weak_limit).c_str(), PerCent(report.paying_efficiency).c_str(),
        UpTo(forecast, forecast.strong_limit).c_str());
    if (forecast.best.empty()) continue;
    const BestSettings& best = forecast.best.back();
    text += Print(
        "best at %lld ranks: buckets of %s, the last %s, %lld micro-batches a step, %s; efficiency "
        "%s%s\n",
        static_cast<long long>(best.world_size), FormatBytes(best.bucket_bytes).c_str(),
        FormatBytes(best.last_bucket_bytes).c_str(), static_cast<long long>(best.accumulation),
        best.shard ? "sharded" : "not sharded", PerCent(best.efficiency).c_str(),
        best.fits ? "" : "; memory does not suffice");
  }
  return text;
}

std::string PublishedText(const ScalingReport& report) {
  if (report.published.empty()) return "";
  std::string text = "\nPredicted beside what others published\n";
  for (const PublishedComparison& c : report.published) {
    text += Print("%-14s %5lld ranks of %-12s", c.published.workload.c_str(),
                  static_cast<long long>(c.published.world_size), c.published.cluster.c_str());
    if (c.published.tokens_per_second_per_rank > 0) {
      text += Print("  %s tokens/s a rank [%s-%s], published %s",
                    Rate(c.tokens_per_second_per_rank).c_str(), Rate(c.tokens_interval.low).c_str(),
                    Rate(c.tokens_interval.high).c_str(),
                    Rate(c.published.tokens_per_second_per_rank).c_str());
    }
    if (c.published.relative_to > 0) {
      text += Print("  against %lld ranks %s [%s], published %s",
                    static_cast<long long>(c.published.relative_to), PerCent(c.efficiency).c_str(),
                    PerCentRange(c.efficiency_interval).c_str(),
                    PerCent(c.published.efficiency).c_str());
    }
    text += "  (" + c.published.source + ")\n";
  }
  return text;
}

constexpr char kSimulationLimits[] =
    "Simulation and closed form share a node's own part of a collective, the size of a ring's "
    "messages and the choice "
    "of the algorithm: that even ranks agree to the last digits is in part by construction. What "
    "is played through is "
    "the order of buckets, the messages between nodes, and who waits for whom.";

std::string ErrorWords(const ForecastError& error) {
  using Source = ForecastError::Source;
  const std::string size = PerCent(error.size);
  if (error.source == Source::kWorldSize)
    return "the error of predicting a number of ranks that was not seen, " + size;
  if (error.source == Source::kCell) {
    return "the error of predicting a cell that was not seen, " + size +
           ": too few numbers of ranks were measured to leave one out";
  }
  return "no error of the model: too little was measured to leave anything out";
}

// What intervals of forecasts that rest on measurements hold.
std::vector<std::string> ErrorSentences(const ScalingReport& report) {
  std::vector<std::string> sentences;
  const auto& forecasts = report.forecasts;
  if (std::any_of(forecasts.begin(), forecasts.end(),
                  [](const Forecast& forecast) { return forecast.measured_compute; })) {
    sentences.push_back("Intervals of forecasts that compute as measured here hold " +
                        ErrorWords(report.forecast_error) + ".");
  }
  std::set<std::string> exchanges;
  for (const Forecast& forecast : forecasts) exchanges.insert(forecast.measured_exchange);
  exchanges.erase("");
  for (const std::string& name : exchanges) {
    const auto found = report.exchange_errors.find(name);
    const bool alone = found != report.exchange_errors.end() &&
                       found->second.source != ForecastError::Source::kUnknown;
    sentences.push_back(
        "Intervals of forecasts that exchange by " + name + " as measured here hold for the " +
        (alone ? "exchange alone " + ErrorWords(found->second)
               : "exchange what whole steps have: " + ErrorWords(report.forecast_error)) +
        ".");
  }
  return sentences;
}

// Cells of other back ends than were asked for: "" where there are none.
std::string OtherBackends(const ScalingReport& report) {
  std::map<std::string, int64_t> counts;
  for (const ScalingRow& row : report.rows)
    if (UsedAnotherBackend(row)) ++counts[row.cell.backend + " was " + row.backend];
  std::string text;
  for (const auto& [what, count] : counts)
    text += (text.empty() ? "" : ", ") + what + " in " + std::to_string(count);
  if (text.empty()) return "";
  return "Some cells were not measured with the back end that was asked for: " + text +
         ". Cells of one back end measure the same, whatever their names say.";
}

// More ranks than CPUs for them, as the fit counts.
bool IsCrowded(const ScalingReport& report, const ScalingRow& row) {
  for (size_t i = 0; i < report.fitted.size(); ++i) {
    if (&report.rows[report.fitted[i]] == &row) return report.cells[i].oversubscribed();
  }
  return false;
}

}  // namespace

std::string ScalingSentence(const ScalingReport& report) {
  const ScalingRow* most = nullptr;
  int64_t fewest = 0;  // ranks: what efficiency is against
  for (const ScalingRow& row : report.rows) {
    if (row.num_repeats > 0)
      fewest = fewest == 0 ? row.cell.world_size : std::min(fewest, row.cell.world_size);
  }
  for (const ScalingRow& row : report.rows) {
    if (row.num_repeats == 0 || row.cell.world_size == fewest) continue;
    if (IsCrowded(report, row)) continue;
    const bool better =
        most == nullptr || row.cell.world_size > most->cell.world_size ||
        (row.cell.world_size == most->cell.world_size && row.efficiency > most->efficiency);
    if (better) most = &row;
  }
  if (most == nullptr && fewest > 0)
    return "Measured, with no larger number of ranks to compare that the machine has CPUs for.";
  if (most == nullptr) {
    return report.forecasts.empty() ? "Nothing is measured yet."
                                    : "All of this is predicted; nothing was measured here.";
  }
  std::string text =
      Print("%lld ranks train %s %.2f times as fast as %s (%s scaling, %s): each at %s",
            static_cast<long long>(most->cell.world_size), most->cell.model.c_str(), most->speed_up,
            fewest == 1 ? "one" : std::to_string(fewest).c_str(), most->cell.scaling.c_str(),
            BackendLabel(*most).c_str(), PerCent(most->efficiency).c_str());
  if (std::isfinite(most->efficiency_interval.low))
    text += " [" + PerCentRange(most->efficiency_interval) + "]";
  return text + (fewest == 1 ? " of its speed alone." : " of its speed there.");
}

std::vector<std::string> ScalingDetails(const ScalingReport& report) {
  std::vector<std::string> details;
  if (report.num_runs > 0) {
    details.push_back(Print(
        "%lld of %lld runs are done, %lld failed.", static_cast<long long>(report.num_done),
        static_cast<long long>(report.num_runs), static_cast<long long>(report.failures.size())));
  }
  if (std::isfinite(report.without_cell.median_size) && !report.cells.empty()) {
    details.push_back(
        Print("The model predicts the step time of a cell that it has not seen within %s (median; "
              "largest %s), of a number of ranks that it has not seen within %s; cells with more "
              "ranks than CPUs apart.",
              PerCent(report.without_cell.median_size).c_str(),
              PerCent(report.without_cell.largest_size).c_str(),
              PerCent(report.without_world_size.median_size).c_str()));
  }
  for (const MissingForecast& missing : report.missing_forecasts)
    details.push_back("Not forecast: " + missing.workload + " on " + missing.cluster + ": " +
                      missing.why + ".");
  if (const std::string others = OtherBackends(report); !others.empty()) details.push_back(others);
  if (!report.forecasts.empty())
    details.emplace_back(
        "Figures for other clusters are predicted from constants that are stated, or measured here "
        "where a forecast says so; none of them is measured.");
  for (const std::string& sentence : ErrorSentences(report)) details.push_back(sentence);
  if (!report.simulated.empty()) details.emplace_back(kSimulationLimits);
  return details;
}

std::string FormatScalingText(const ScalingReport& report) {
  std::string text = report.title + "\n" + ScalingSentence(report) + "\n";
  for (const std::string& detail : ScalingDetails(report)) text += detail + "\n";
  if (report.num_done > 0) text += Measured(report) + Costs(report);
  for (const auto& [name, why] : report.failures) text += "failed: " + name + ": " + why + "\n";
  return text + FitText(report) + ForecastText(report) + PublishedText(report);
}

std::string FormatSimulationText(const std::vector<SimulatedPoint>& points) {
  std::string text = Print("%-16s %-16s %6s  %11s %11s  %11s %11s  %10s\n", "cluster", "workload",
                           "ranks", "closed form", "simulated", "uneven", "simulated", "messages");
  for (const SimulatedPoint& p : points) {
    text += Print("%-16s %-16s %6lld  %11s %11s  %11s %11s  %10s\n", p.cluster.c_str(),
                  p.workload.c_str(), static_cast<long long>(p.world_size),
                  Short(p.closed_form_seconds).c_str(), Short(p.simulated_seconds).c_str(),
                  Short(p.closed_form_spread_seconds).c_str(),
                  Short(p.simulated_spread_seconds).c_str(), FormatCount(p.num_messages).c_str());
  }
  return text + kSimulationLimits + "\n";
}

}  // namespace breakeven
