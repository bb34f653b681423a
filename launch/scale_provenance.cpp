#include "launch/scale_provenance.h"

#include <set>
#include <string>

#include "comm/base/utc_time.h"
#include "comm/world.h"
#include "launch/bench_origin.h"
#include "launch/config_print.h"

namespace breakeven {
namespace {

template <typename Words>
std::string Join(const Words& words, const char* between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

class Facts {
 public:
  // What is not known is left out.
  void Add(const char* group, const std::string& name, const std::string& value) {
    if (!value.empty()) facts_.push_back({group, name, value});
  }
  std::vector<ReportFact> Take() { return std::move(facts_); }

 private:
  std::vector<ReportFact> facts_;
};

// Runs may have been done over days, on several machines, by several versions: all are named.
void AddMachines(const ScalingResults& results, Facts& facts) {
  std::set<std::string> programs, hosts, cpus, gpus, times, threads;
  for (const auto& [name, step] : results.steps) {
    programs.insert(step.program);
    hosts.insert(step.hosts.begin(), step.hosts.end());
    cpus.insert(step.cpu);
    gpus.insert(step.gpu);
    if (!step.time.empty()) times.insert(step.time);
    threads.insert(std::to_string(step.threads));
  }
  for (auto* names : {&programs, &gpus}) names->erase("");
  facts.Add("measured", "program", Join(programs, ", "));
  if (!times.empty()) {
    facts.Add("measured", "first run ended", *times.begin());
    facts.Add("measured", "last run ended", *times.rbegin());
  }
  facts.Add("machine", "hosts", Join(hosts, ", "));
  facts.Add("machine", "CPU", Join(cpus, "; "));
  facts.Add("machine", "GPU", Join(gpus, "; "));
  facts.Add("machine", "threads of a rank", Join(threads, ", "));
}

}  // namespace

std::vector<ReportFact> ScaleProvenance(const ScaleConfig& config, const ScalingResults& results,
                                        int64_t cores) {
  Facts facts;
  facts.Add("report", "program", ProgramVersion());
  facts.Add("report", "written", UtcNow() + " on " + DescribeProcess().host);
  facts.Add("config", "hash", ConfigHash(config));
  for (const auto& [name, cluster] : config.forecast.clusters)
    facts.Add("assumed", name, cluster.title + ": " + cluster.source);
  if (config.models.empty()) return facts.Take();
  facts.Add("config", "steps",
            std::to_string(config.steps) + " after " + std::to_string(config.warmup_steps) +
                " to warm up");
  facts.Add("config", "repeats", std::to_string(config.repeats) + ", cells in turns");
  facts.Add("config", "seed", std::to_string(config.train.seed));
  facts.Add("data", "dataset", config.train.data);
  for (const auto& [name, model] : config.models) {
    facts.Add("model", name,
              model.path.empty() ? model.config + ", from random weights" : model.path);
  }
  facts.Add(
      "machine", "launcher",
      config.launcher == "slurm" ? "Slurm, " + Join(config.mpirun, " ") : Join(config.mpirun, " "));
  facts.Add("machine", "CPUs of a node", std::to_string(cores));
  AddMachines(results, facts);
  return facts.Take();
}

}  // namespace breakeven
