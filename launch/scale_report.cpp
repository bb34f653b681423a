#include "launch/scale_report.h"

#include <algorithm>
#include <utility>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/world.h"
#include "launch/scale_provenance.h"

namespace breakeven {
namespace {

ModelConfig ModelOf(const ModelSourceConfig& source) {
  return source.path.empty() ? ParseModelConfig(ReadFile(source.config), source.config)
                             : ReadModelConfig(source.path);
}

// Of a node that was measured, which need not be this one: a report of array jobs is made on a login node. Where mpirun is
// given the machine, what its ranks may use are its CPUs; a Slurm element has as many as its ranks, of a node with more.
double CoresOf(const ScaleConfig& config, const ClusterJobConfig& cluster,
               const ScalingResults& results) {
  const bool slurm = config.launcher == "slurm";
  int64_t cores = config.cores;
  if (cores == 0 && slurm) cores = cluster.site.cores_per_node;
  if (cores == 0) {
    for (const auto& [name, step] : results.steps)
      cores = std::max({cores, step.cpus_per_node, slurm ? step.cpus_of_machine : 0});
  }
  return static_cast<double>(cores > 0 ? cores : DescribeProcess().num_cpus);
}

FitCell FitCellOf(const ScaleConfig& config, const ScalingRow& row, const ModelConfig& model,
                  double cores) {
  FitCell cell;
  const ScalingCell& what = row.cell;
  cell.compute = what.model + " " + what.precision;
  cell.exchange = row.backend + " on " + what.network;
  cell.topology = {what.world_size, row.ranks_per_node};
  cell.shared_memory = row.backend == "shared_memory";
  cell.overlapped = row.backend == "nccl";
  cell.cores = config.CoresOfNode(cores, what.network, cell.topology.num_nodes()) /
               static_cast<double>(row.threads);
  cell.flops = row.flops;
  cell.exposed_communication_seconds = row.exposed_communication_seconds;
  cell.skew_seconds = row.skew_seconds;
  cell.busy_seconds = row.step_seconds - row.exposed_communication_seconds - row.skew_seconds;
  if (what.world_size > 1) {
    const BucketScheduleOptions options = {config.train.bucket_bytes,
                                           config.train.last_bucket_bytes, 4, true};
    for (const ScheduledBucket& bucket : ScheduleBuckets(model, options))
      cell.buckets.push_back(bucket.bytes);
  }
  return cell;
}

// `cores`: of a machine, for each thread of a rank.
std::vector<FitCollective> FitCollectives(const ScaleConfig& config,
                                          const std::vector<CollectiveMeasurement>& all,
                                          double cores) {
  std::vector<FitCollective> points;
  for (const CollectiveMeasurement& m : all) {
    const Topology topology = {m.world_size, m.ranks_per_node};
    points.push_back({m.backend + " on " + m.network, m.backend == "shared_memory", topology,
                      config.CoresOfNode(cores, m.network, topology.num_nodes()), m.bytes,
                      m.seconds});
  }
  return points;
}

// Of a rank, as the cells with most ranks had them; 1 where nothing is measured.
double ThreadsOf(const ScalingReport& report) {
  double threads = 1;
  for (const ScalingRow& row : report.rows)
    if (row.num_repeats > 0) threads = static_cast<double>(row.threads);
  return threads;
}

void Fit(const ScaleConfig& config, const std::vector<CollectiveMeasurement>& collectives,
         ScalingReport& report) {
  const auto cores = static_cast<double>(report.cores);
  for (size_t i = 0; i < report.rows.size(); ++i) {
    const ScalingRow& row = report.rows[i];
    if (row.num_repeats == 0) continue;
    FitCell cell = FitCellOf(config, row, ModelOf(config.models.at(row.cell.model)), cores);
    if (cell.busy_seconds <= 0) continue;  // medians of repeats that have nothing in common
    report.fitted.push_back(i);
    report.cells.push_back(std::move(cell));
  }
  if (report.cells.empty()) return;
  const std::vector<FitCollective> points =
      FitCollectives(config, collectives, cores / ThreadsOf(report));
  report.fit = FitScaling(report.cells, points);
  report.without_cell = LeaveOneCellOut(report.cells, points);
  report.without_world_size = LeaveOneWorldSizeOut(report.cells, points);
  report.forecast_error =
      ErrorOfForecasts(report.cells, report.without_cell, report.without_world_size);
  report.exchange_errors =
      ErrorsOfExchange(report.cells, report.without_cell, report.without_world_size);
}

ForecastBasis BasisOf(const ScaleConfig& config, const ScalingReport& report) {
  ForecastBasis basis;
  basis.confidence = config.confidence;
  basis.contention = report.fit.contention;
  basis.cores = static_cast<double>(report.cores) / ThreadsOf(report);  // as FitCellOf
  basis.exchange = report.fit.exchange;
  basis.model_error = report.forecast_error.size;
  for (const auto& [name, error] : report.exchange_errors)
    if (error.source != ForecastError::Source::kUnknown) basis.exchange_error[name] = error.size;
  for (const auto& [name, workload] : config.forecast.workloads) {
    basis.models[name] = ParseModelConfig(ReadFile(workload.model), workload.model);
    if (workload.measured_model.empty()) continue;
    const auto law =
        report.fit.compute.find(workload.measured_model + " " + config.precisions.front());
    if (law != report.fit.compute.end()) basis.measured[name] = law->second;
  }
  return basis;
}

// A workload that computes as was measured here has to wait until it was. "" = it can be forecast.
std::string WhyNot(const ScaleConfig& config, const ForecastBasis& basis, const std::string& name) {
  const std::string& model = config.forecast.workloads.at(name).measured_model;
  if (model.empty() || basis.measured.count(name) > 0) return "";
  return model + " in " + config.precisions.front() + " was not measured";
}

// A cluster that exchanges as was measured here likewise.
std::string WhyNotOn(const ScaleConfig& config, const ForecastBasis& basis,
                     const ClusterConfig& cluster) {
  const std::string& name = cluster.measured_exchange;
  if (name.empty()) return "";
  const auto law = basis.exchange.find(name);
  if (law == basis.exchange.end()) {
    const bool asked = std::any_of(config.backends.begin(), config.backends.end(),
                                   [&](const std::string& backend) {
                                     return backend == "auto" || name.starts_with(backend + " on ");
                                   });
    return "\"" + name + "\" was not measured" + (asked ? "" : ", `backends` does not have it");
  }
  if (!law->second.links_told_apart)
    return "the numbers of ranks that were measured cannot tell a node's link from the network, "
           "\"" +
           name + "\"";
  if (!law->second.TellsLinks())
    return "of \"" + name +
           "\" was measured what backward did not hide, but no collective by "
           "itself (all_reduce: true)";
  return law->second.KnowsALink() ? "" : "\"" + name + "\" was too fast to find its bandwidth";
}

void AddForecasts(const ScaleConfig& config, bool simulate, ScalingReport& report) {
  const ForecastBasis basis = BasisOf(config, report);
  ForecastConfig possible = config.forecast;
  for (const auto& [workload, unused_workload] : config.forecast.workloads) {
    const std::string why_not = WhyNot(config, basis, workload);
    if (!why_not.empty()) possible.workloads.erase(workload);
    for (const auto& [name, cluster] : config.forecast.clusters) {
      const std::string on = WhyNotOn(config, basis, cluster);
      if (!on.empty()) possible.clusters.erase(name);
      if (!why_not.empty() || !on.empty())
        report.missing_forecasts.push_back({workload, name, why_not.empty() ? on : why_not});
    }
  }
  std::erase_if(possible.published, [&](const PublishedConfig& published) {
    return possible.workloads.count(published.workload) == 0 ||
           possible.clusters.count(published.cluster) == 0;
  });
  for (const auto& [workload, unused_workload] : possible.workloads) {
    for (const auto& [cluster, unused_cluster] : possible.clusters) {
      Forecast forecast = MakeForecast(possible, cluster, workload, basis);
      if (forecast.points.empty()) {
        report.missing_forecasts.push_back(
            {workload, cluster,
             "all of forecast.world_sizes need a link that is neither measured nor stated"});
        continue;
      }
      report.forecasts.push_back(std::move(forecast));
    }
  }
  report.published = ComparePublished(possible, basis);
  if (simulate) report.simulated = SimulateForecasts(possible, basis);
}

}  // namespace

ScalingReport MakeScalingReport(const ScaleConfig& config, const ClusterJobConfig& cluster,
                                const ScaleRuns& runs, bool simulate) {
  const ScalingResults results = runs.Read();
  ScalingReport report;
  report.title = config.title.empty() ? "How training scales" : config.title;
  report.currency = config.currency;
  report.confidence = config.confidence;
  report.cores = static_cast<int64_t>(CoresOf(config, cluster, results));
  report.num_runs = std::ssize(runs.runs());
  report.num_done = runs.NumDone();
  report.rows = MakeScalingTable(config, results);
  report.collectives = results.collectives;
  report.failures = results.failures;
  report.clusters = config.forecast.clusters;
  report.workloads = config.forecast.workloads;
  report.paying_efficiency = config.forecast.paying_efficiency;
  report.paying_speed_up = config.forecast.paying_speed_up;
  Fit(config, results.collectives, report);
  AddForecasts(config, simulate, report);
  report.provenance = ScaleProvenance(config, results, report.cores);
  return report;
}

}  // namespace breakeven
