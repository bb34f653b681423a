#include <algorithm>
#include <filesystem>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "launch/cluster_history.h"
#include "launch/cluster_script.h"
#include "launch/config_print.h"
#include "launch/scale_runs.h"

namespace breakeven {
namespace {

// Runs that one array job may hold: done in the same turn, on the same nodes.
struct Array {
  int64_t turn = 0;  // collectives, repeats, trainings
  std::string network;
  int64_t world_size = 1;
  std::vector<size_t> runs;

  std::string Name() const {
    return "t" + std::to_string(turn) + "_n" + std::to_string(world_size) + "_" + network;
  }
};

int64_t TurnOf(const ScaleConfig& config, const ScalingRun& run) {
  if (run.kind == RunKind::kAllReduce) return 0;
  return run.kind == RunKind::kStep ? 1 + run.repeat : 1 + config.repeats;
}

// In the order of their first runs. Those that are done are left out.
std::vector<Array> ArraysOf(const ScaleConfig& config, const ScaleRuns& runs) {
  std::vector<Array> arrays;
  for (size_t i = 0; i < runs.runs().size(); ++i) {
    if (runs.IsDone(i)) continue;
    const ScalingRun& run = runs.runs()[i];
    const int64_t turn = TurnOf(config, run);
    auto array = std::find_if(arrays.begin(), arrays.end(), [&](const Array& other) {
      return other.turn == turn && other.network == run.cell.network &&
             other.world_size == run.cell.world_size;
    });
    if (array == arrays.end())
      array = arrays.insert(array, {turn, run.cell.network, run.cell.world_size, {}});
    array->runs.push_back(i);
  }
  return arrays;
}

std::string Elements(const Array& array, int64_t at_once) {
  std::string text;
  for (const size_t run : array.runs) text += (text.empty() ? "" : ",") + std::to_string(run);
  return text + "%" + std::to_string(at_once);
}

std::string Head(const ScaleConfig& config, const ClusterJobConfig& cluster, const Array& array,
                 const std::string& folder) {
  const int64_t n = array.world_size;
  const int64_t asked = config.Networks().at(array.network).ranks_per_node;
  const int64_t on_node = asked > 0 ? std::min(n, asked) : n;
  std::string text;
  const auto option = [&](const std::string& line) { text += "#SBATCH " + line + "\n"; };
  option("--job-name=scale_" + array.Name());
  option("--array=" + Elements(array, config.slurm.at_once));
  option("--nodes=" + std::to_string((n + on_node - 1) / on_node));
  option("--ntasks=" + std::to_string(n));
  option("--ntasks-per-node=" + std::to_string(on_node));
  // Those of the section are for as many ranks on a node as it has.
  const int64_t threads = config.train.threads;
  option("--cpus-per-task=" +
         std::to_string(threads > 0 ? threads : cluster.CpusPerRank(/*threads=*/0, on_node)));
  if (config.train.device.device == "cuda" || config.backends.front() == "nccl")
    option("--gpus-per-node=" + std::to_string(on_node));
  // Only a section that says more than nothing says how long an element may take.
  if (PrintConfig(cluster) != PrintConfig(ClusterJobConfig{}))
    option("--time=" + TimeText(cluster.time_minutes));
  // A training saves then; an element that is begun again goes on from there, or finds its run done.
  option("--signal=B:USR1@" + std::to_string(LeadSeconds({})));
  option("--requeue");
  option("--open-mode=append");
  option("--output=\"" + folder + "/" + array.Name() + "_%a.log\"");
  for (const std::string& line : SiteOptions(cluster.site)) option(line);
  for (const std::string& line : config.slurm.options) option(line);
  return text;
}

std::string Script(const ScaleConfig& config, const ClusterJobConfig& cluster, const Array& array,
                   const std::string& folder, const std::string& program,
                   const std::vector<std::string>& arguments) {
  std::string text = "#!/bin/bash\n# Runs of `breakeven scale` with " +
                     std::to_string(array.world_size) +
                     " ranks; an element is one run of the plan, counted from 0.\n" +
                     Head(config, cluster, array, folder);
  text += "set -eu\ncd " + ShellQuote(std::filesystem::current_path().string()) + "\n";
  for (const std::string& module : cluster.site.modules)
    text += "module load " + ShellQuote(module) + " || exit 78\n";
  // The user's environment wins over the site's, as in jobs of `launch`.
  for (const auto& [name, value] : cluster.site.environment)
    text += "[ -n \"${" + name + "+set}\" ] || export " + name + "=" + ShellQuote(value) + "\n";
  for (const std::string& line : config.slurm.lines) text += line + "\n";
  // Slurm's signal is for the script: the program has its place.
  text += "exec " + ShellQuote(cluster.site.program.empty() ? program : cluster.site.program) +
          " scale";
  for (const std::string& argument : arguments) text += " " + ShellQuote(argument);
  return text + " --cell \"$SLURM_ARRAY_TASK_ID\"\n";
}

}  // namespace

std::string WriteSlurmArrays(const ScaleConfig& config, const ClusterJobConfig& cluster,
                             const ScaleRuns& runs, const std::string& program,
                             const std::vector<std::string>& arguments) {
  if (!cluster.site.prefix.empty()) {
    throw Error(ErrorKind::kUsage,
                "cluster.site.prefix: elements of a sweep start mpirun themselves, which the "
                "container would have to hold. Leave it out, and give `mpirun` and slurm.lines");
  }
  const std::vector<Array> arrays = ArraysOf(config, runs);
  if (arrays.empty()) return "";
  const std::string folder =
      std::filesystem::absolute(config.output + "/slurm").lexically_normal().string();
  CreateFolders(folder);
  std::string submit =
      "#!/bin/bash\n# One behind the other, whatever becomes of the one before: sizes take turns.\n"
      "set -eu\n";
  for (const Array& array : arrays) {
    const std::string path = folder + "/" + array.Name() + ".sh";
    WriteFileDurably(path, Script(config, cluster, array, folder, program, arguments));
    const bool first = &array == &arrays.front();
    submit += std::string("job=$(sbatch --parsable ") +
              (first ? "" : "--dependency=afterany:\"${job%%;*}\" ") + ShellQuote(path) + ")\n";
  }
  WriteFileDurably(folder + "/submit.sh", submit);
  return std::to_string(arrays.size()) + " array jobs are written. Submit them: bash " + folder +
         "/submit.sh; then give this command again for the report\n";
}

}  // namespace breakeven
