#include <filesystem>
#include <map>
#include <utility>

#include "comm/base/durable_file.h"
#include "launch/cluster_script.h"
#include "launch/scale_runs.h"

namespace breakeven {
namespace {

using Group = std::pair<std::string, int64_t>;  // network and world size

std::string Script(const ScaleConfig& config, const Group& group, const std::vector<size_t>& runs,
                   const std::string& folder, const std::string& program,
                   const std::vector<std::string>& arguments) {
  const auto& [network, n] = group;
  const int64_t on_node = config.Networks().at(network).ranks_per_node;
  const int64_t nodes = on_node > 0 ? (n + on_node - 1) / on_node : 1;
  std::string elements;
  for (const size_t run : runs) elements += (elements.empty() ? "" : ",") + std::to_string(run);
  std::string text = "#!/bin/bash\n# Runs of `breakeven scale` with " + std::to_string(n) +
                     " ranks; an element is one run of the plan, counted from 0.\n";
  const auto option = [&](const std::string& line) { text += "#SBATCH " + line + "\n"; };
  option("--job-name=scale_n" + std::to_string(n));
  option("--array=" + elements + "%" + std::to_string(config.slurm.at_once));
  option("--nodes=" + std::to_string(nodes));
  option("--ntasks=" + std::to_string(n));
  option("--output=" + folder + "/n" + std::to_string(n) + "_" + network + "_%a.log");
  for (const std::string& line : config.slurm.options) option(line);
  text += "set -eu\ncd " + ShellQuote(std::filesystem::current_path().string()) + "\n";
  for (const std::string& line : config.slurm.lines) text += line + "\n";
  text += "exec " + ShellQuote(program) + " scale";
  for (const std::string& argument : arguments) text += " " + ShellQuote(argument);
  return text + " --cell \"$SLURM_ARRAY_TASK_ID\"\n";
}

}  // namespace

std::string WriteSlurmArrays(const ScaleConfig& config, const ScaleRuns& runs,
                             const std::string& program,
                             const std::vector<std::string>& arguments) {
  std::map<Group, std::vector<size_t>> groups;
  for (size_t i = 0; i < runs.runs().size(); ++i) {
    const ScalingCell& cell = runs.runs()[i].cell;
    if (!runs.IsDone(i)) groups[{cell.network, cell.world_size}].push_back(i);
  }
  if (groups.empty()) return "";
  const std::string folder =
      std::filesystem::absolute(config.output + "/slurm").lexically_normal().string();
  CreateFolders(folder);
  std::string submit = "#!/bin/bash\nset -eu\n";
  for (const auto& [group, members] : groups) {
    const std::string path =
        folder + "/n" + std::to_string(group.second) + "_" + group.first + ".sh";
    WriteFileDurably(path, Script(config, group, members, folder, program, arguments));
    submit += "sbatch " + ShellQuote(path) + "\n";
  }
  WriteFileDurably(folder + "/submit.sh", submit);
  return std::to_string(groups.size()) + " array jobs are written. Submit them: bash " + folder +
         "/submit.sh; then give this command again for the report\n";
}

}  // namespace breakeven
