// Pure.
#include "trainer/scaling/scaling_table.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "comm/base/timing.h"
#include "trainer/statistics/distributions.h"
#include "trainer/statistics/mean.h"

namespace breakeven {
namespace {

constexpr double kBusBytes = 1 << 24;

using Repeats = std::map<int64_t, StepMeasurement>;

double MedianOf(const Repeats& repeats, double StepMeasurement::*member) {
  std::vector<double> values;
  for (const auto& [repeat, m] : repeats) values.push_back(m.*member);
  return values.empty() ? NAN : SummariseSeconds(std::move(values), 0).median;
}

void FillTimes(const Repeats& repeats, ScalingRow& row) {
  const StepMeasurement& first = repeats.begin()->second;
  row.ranks_per_node = (first.world_size + first.num_nodes - 1) / first.num_nodes;
  row.threads = first.threads;
  row.backend = first.world_size > 1 ? first.backend : row.cell.backend;
  if (row.backend.empty() && row.cell.backend != "auto") row.backend = row.cell.backend;
  row.tokens_per_second = MedianOf(repeats, &StepMeasurement::tokens_per_second);
  row.slowest_tokens_per_second = row.fastest_tokens_per_second = row.tokens_per_second;
  for (const auto& [repeat, m] : repeats) {
    row.slowest_tokens_per_second = std::min(row.slowest_tokens_per_second, m.tokens_per_second);
    row.fastest_tokens_per_second = std::max(row.fastest_tokens_per_second, m.tokens_per_second);
  }
  row.tokens = MedianOf(repeats, &StepMeasurement::tokens);
  row.flops = MedianOf(repeats, &StepMeasurement::flops) / static_cast<double>(first.world_size);
  row.step_seconds = MedianOf(repeats, &StepMeasurement::mean_step_seconds);
  row.input_seconds = MedianOf(repeats, &StepMeasurement::input_seconds);
  row.compute_seconds = MedianOf(repeats, &StepMeasurement::compute_seconds);
  row.update_seconds = MedianOf(repeats, &StepMeasurement::update_seconds);
  row.exposed_communication_seconds =
      MedianOf(repeats, &StepMeasurement::exposed_communication_seconds);
  row.skew_seconds = MedianOf(repeats, &StepMeasurement::skew_seconds);
  row.mfu = MedianOf(repeats, &StepMeasurement::mfu);
  row.peak_memory_bytes = MedianOf(repeats, &StepMeasurement::peak_memory_bytes);
}

double PerRank(const StepMeasurement& m) {
  return m.tokens_per_second / static_cast<double>(m.world_size);
}

void FillEfficiency(const Repeats& repeats, const Repeats& base, double confidence,
                    ScalingRow& row) {
  std::vector<double> logs;
  for (const auto& [repeat, m] : repeats) {
    const auto other = base.find(repeat);
    if (other != base.end()) logs.push_back(std::log(PerRank(m) / PerRank(other->second)));
  }
  const Estimate mean = MeanAndStandardError(logs);
  row.efficiency = std::exp(mean.value);
  row.speed_up = row.efficiency * static_cast<double>(row.cell.world_size) /
                 static_cast<double>(base.begin()->second.world_size);
  const double half = CriticalValue(confidence, static_cast<double>(logs.size()) - 1);
  row.efficiency_interval = {std::exp(mean.value - half * mean.standard_error),
                             std::exp(mean.value + half * mean.standard_error)};
  if (logs.size() < 2) row.efficiency_interval = {NAN, NAN};
}

double BusBandwidth(const std::vector<CollectiveMeasurement>& all, const ScalingRow& row) {
  const ScalingCell& cell = row.cell;
  for (const CollectiveMeasurement& m : all) {
    if (m.backend == row.backend && m.network == cell.network && m.world_size == cell.world_size &&
        m.bytes == kBusBytes)
      return m.bus_bytes_per_second;
  }
  return NAN;
}

bool SameSeries(const ScalingCell& a, const ScalingCell& b) {
  return a.model == b.model && a.scaling == b.scaling && a.precision == b.precision;
}

// Of trainings that were done: the same batch in the same precision, so another back end's stands for this cell too.
const TrainMeasurement* LearnedBy(const std::vector<ScalingRun>& runs,
                                  const ScalingResults& results, const ScalingCell& cell) {
  for (const ScalingRun& run : runs) {
    if (run.kind != RunKind::kTrain || run.cell.model != cell.model ||
        run.cell.scaling != cell.scaling || run.cell.world_size != cell.world_size ||
        run.cell.precision != cell.precision)
      continue;
    const auto training = results.trainings.find(run.name);
    if (training != results.trainings.end()) return &training->second;
  }
  return nullptr;
}

}  // namespace

bool UsedAnotherBackend(const ScalingRow& row) {
  const std::string& asked = row.cell.backend;
  return row.num_repeats > 0 && !row.backend.empty() && asked != "auto" && row.backend != asked;
}

std::string BackendLabel(const ScalingRow& row) {
  const std::string& asked = row.cell.backend;
  if (row.num_repeats == 0 || row.backend.empty() || row.backend == asked) return asked;
  return row.backend + (asked == "auto" ? " (auto)" : " (asked for " + asked + ")");
}

std::string RowLabel(const ScalingRow& row) {
  const std::string name = row.cell.Name();
  return BackendLabel(row) == row.cell.backend ? name : name + " [" + row.backend + "]";
}

std::vector<ScalingRow> MakeScalingTable(const ScaleConfig& config, const ScalingResults& results) {
  const std::vector<ScalingRun> runs = PlanRuns(config);
  std::vector<ScalingRow> rows;
  std::vector<Repeats> repeats;
  for (const ScalingCell& cell : PlanCells(config)) {
    ScalingRow row;
    row.cell = cell;
    Repeats of_cell;
    for (const ScalingRun& run : runs) {
      if (run.kind != RunKind::kStep || !(run.cell == cell)) continue;
      const auto step = results.steps.find(run.name);
      if (step != results.steps.end()) of_cell.emplace(run.repeat, step->second);
      row.num_failed += static_cast<int64_t>(results.failures.count(run.name));
    }
    row.num_repeats = std::ssize(of_cell);
    if (!of_cell.empty()) FillTimes(of_cell, row);
    rows.push_back(std::move(row));
    repeats.push_back(std::move(of_cell));
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    ScalingRow& row = rows[i];
    if (repeats[i].empty()) continue;
    for (size_t base = 0; base < rows.size(); ++base) {
      if (!SameSeries(rows[base].cell, row.cell) || repeats[base].empty()) continue;
      FillEfficiency(repeats[i], repeats[base], config.confidence, row);
      break;  // cells of a series ascend by world size
    }
    row.bus_bytes_per_second = BusBandwidth(results.collectives, row);
    row.rank_hours_per_million =
        static_cast<double>(row.cell.world_size) * 1e6 / row.tokens_per_second / 3600;
    row.price_per_million = config.price_per_device_hour > 0
                                ? config.price_per_device_hour * row.rank_hours_per_million
                                : NAN;
    if (const TrainMeasurement* learned = LearnedBy(runs, results, row.cell))
      row.learned = *learned;
    row.checkpoint_seconds = row.learned.has_value() ? row.learned->checkpoint_seconds : NAN;
  }
  return rows;
}

}  // namespace breakeven
