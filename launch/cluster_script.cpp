// Pure.
#include "launch/cluster_script.h"

#include <algorithm>

namespace breakeven {
namespace {

// A lost node is noticed after 11 s instead of 8 minutes: the values of set_mpi_defaults in
// cluster/slurm/job.sh.
constexpr std::pair<const char*, const char*> kMpiDefaults[] = {
    {"OMPI_MCA_oob_tcp_keepalive_time", "5"},
    {"OMPI_MCA_oob_tcp_keepalive_intvl", "2"},
    {"OMPI_MCA_oob_tcp_keepalive_probes", "3"},
};

std::string SiteName(const SiteConfig& site) {
  return site.name.empty() ? "site" : "site " + site.name;
}

std::string Join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

JobVariable Resolve(const std::string& name, const std::string& value, const std::string& from,
                    const GetVariable& get) {
  const char* set = get(name.c_str());
  if (set == nullptr) return {name, value, from, "", value, from};
  return {name, set, "environment", value == set ? "" : value, value, from};
}

class ScriptHead {
 public:
  void Option(const std::string& option) { text_ += "#SBATCH " + option + "\n"; }
  void Option(const std::string& name, const std::string& value) {
    if (!value.empty()) Option("--" + name + "=" + value);
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

// sbatch reads a quoted value of a script's options as a shell would.
std::string OptionText(const std::string& value) { return "\"" + value + "\""; }

std::string Head(const ClusterJob& job, const std::string& folder, int64_t lead_seconds) {
  const ClusterJobConfig& cluster = job.cluster;
  ScriptHead head;
  head.Option("job-name", job.Name());
  head.Option("nodes", std::to_string(cluster.nodes));
  head.Option("ntasks-per-node", std::to_string(cluster.ranks_per_node));
  head.Option("cpus-per-task", std::to_string(job.CpusPerRank()));
  if (cluster.gpus_per_rank > 0) {
    head.Option("gpus-per-node", std::to_string(cluster.ranks_per_node * cluster.gpus_per_rank));
  }
  head.Option("time", TimeText(cluster.time_minutes));
  head.Option("signal", "B:USR1@" + std::to_string(lead_seconds));
  head.Option("--requeue");
  head.Option("--open-mode=append");
  for (const std::string& option : SiteOptions(cluster.site)) head.Option(option);
  if (!cluster.sweep.empty()) {
    head.Option("array",
                "0-" + std::to_string(cluster.sweep.size() - 1) +
                    (cluster.sweep_at_once > 0 ? "%" + std::to_string(cluster.sweep_at_once) : ""));
  }
  head.Option("chdir", OptionText(folder));
  head.Option("output",
              OptionText(job.Logs() + (cluster.sweep.empty() ? "/%x-%j.out" : "/%x-%A_%a.out")));
  return head.Take();
}

std::string Settings(const std::vector<std::string>& set) {
  std::string text;
  for (const std::string& setting : set) text += " --set " + ShellQuote(setting);
  return text;
}

// The settings of this element of the array.
std::string SweepCases(const std::vector<SweepCase>& sweep) {
  std::string text = "case $SLURM_ARRAY_TASK_ID in\n";
  for (size_t i = 0; i < sweep.size(); ++i) {
    text += "  " + std::to_string(i) + ") case_settings=(" + Settings(sweep[i].set).substr(1) +
            ") ;;\n";
  }
  return text + "esac\n";
}

}  // namespace

std::vector<std::string> SiteOptions(const SiteConfig& site) {
  std::vector<std::string> options;
  for (const auto& [name, value] :
       {std::pair("partition", site.partition), std::pair("account", site.account),
        std::pair("qos", site.qos)}) {
    if (!value.empty()) options.push_back(std::string("--") + name + "=" + value);
  }
  if (!site.constraint.empty()) options.push_back("--constraint=" + OptionText(site.constraint));
  options.insert(options.end(), site.sbatch_options.begin(), site.sbatch_options.end());
  return options;
}

std::string TimeText(int64_t minutes) {
  const auto two = [](int64_t n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  return std::to_string(minutes / 60) + ":" + two(minutes % 60) + ":00";
}

std::string ShellQuote(const std::string& text) {
  constexpr std::string_view kPlain = "_-./=:,@%+";
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [&](unsigned char c) {
    return (c < 128 && std::isalnum(c) != 0) || kPlain.find(static_cast<char>(c)) != kPlain.npos;
  });
  if (plain) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

std::vector<JobVariable> JobVariables(const ClusterJob& job, const std::string& program,
                                      int64_t lead_seconds, const GetVariable& get) {
  const ClusterJobConfig& cluster = job.cluster;
  std::vector<JobVariable> variables;
  const auto propose = [&](const std::string& name, const std::string& value,
                           const std::string& from) {
    const bool known = std::any_of(variables.begin(), variables.end(),
                                   [&](const JobVariable& other) { return other.name == name; });
    // Known: the site's own word for one of ours.
    if (!known) variables.push_back(Resolve(name, value, from, get));
  };
  for (const auto& [name, value] : cluster.site.environment) {
    propose(name, value, SiteName(cluster.site));
  }
  for (const auto& [name, value] : kMpiDefaults) propose(name, value, "default");
  if (lead_seconds > 0) {
    propose("BREAKEVEN_PROGRAM", program,
            cluster.site.program.empty() ? "default" : SiteName(cluster.site));
    propose("BREAKEVEN_PREFIX", Join(cluster.site.prefix), SiteName(cluster.site));
    propose("BREAKEVEN_LAUNCHER", cluster.site.launcher, SiteName(cluster.site));
    if (!cluster.site.mpirun_options.empty()) {
      propose("BREAKEVEN_MPIRUN_OPTIONS", cluster.site.mpirun_options, SiteName(cluster.site));
    }
    propose("BREAKEVEN_STAGE", cluster.stage_data ? cluster.site.local_scratch : "", "cluster");
    propose("BREAKEVEN_ATTEMPTS", std::to_string(cluster.attempts), "cluster");
    propose("BREAKEVEN_LOGS", job.Logs(), "cluster");
    propose("BREAKEVEN_LEAD_SECONDS", std::to_string(lead_seconds), "cluster");
  }
  return variables;
}

std::vector<JobVariable> SbatchVariables(const SiteConfig& site, const GetVariable& get) {
  std::vector<JobVariable> variables;
  for (const auto& [name, value] :
       {std::pair("SBATCH_PARTITION", site.partition), std::pair("SBATCH_ACCOUNT", site.account),
        std::pair("SBATCH_QOS", site.qos), std::pair("SBATCH_CONSTRAINT", site.constraint)}) {
    if (!value.empty() || get(name) != nullptr) {
      variables.push_back(Resolve(name, value, SiteName(site), get));
    }
  }
  return variables;
}

std::string FormatVariables(const std::vector<JobVariable>& variables) {
  size_t width = 0;
  for (const JobVariable& variable : variables) {
    width = std::max(width, variable.name.size() + variable.value.size() + 1);
  }
  std::string text;
  for (const JobVariable& variable : variables) {
    const std::string pair = variable.name + "=" + variable.value;
    text += pair + std::string(width - pair.size() + 2, ' ') + variable.from;
    if (!variable.instead_of.empty()) {
      text += ", over " + variable.proposed_from + "'s " + variable.instead_of;
    }
    text += "\n";
  }
  return text;
}

std::string SlurmScript(const ClusterJob& job, const std::vector<JobVariable>& variables,
                        const std::string& folder, int64_t lead_seconds) {
  std::string text = "#!/bin/bash\n# Written by breakeven launch from " + job.config + ": " +
                     job.command + " on " + std::to_string(job.cluster.nodes) + " x " +
                     std::to_string(job.cluster.ranks_per_node) + " ranks.\n";
  text += Head(job, folder, lead_seconds) + "\n";
  text += std::string(CommonPart()) + "\n# This job.\n\n";
  for (const std::string& module : job.cluster.site.modules) {
    text += "module load " + ShellQuote(module) + " || exit 78\n";
  }
  for (const JobVariable& variable : variables) {
    text += "set_default " + variable.name + " " + ShellQuote(variable.proposed) + " " +
            ShellQuote(variable.proposed_from) + "\n";
  }
  if (!job.cluster.sweep.empty()) text += SweepCases(job.cluster.sweep);
  text += "run_job " + job.command + " " + ShellQuote(job.config) + Settings(job.set);
  if (!job.cluster.sweep.empty()) text += " \"${case_settings[@]}\"";
  return text + "\n";
}

std::vector<std::string> MpirunCommand(const ClusterJob& job,
                                       const std::vector<JobVariable>& variables,
                                       const std::string& program) {
  const ClusterJobConfig& cluster = job.cluster;
  std::vector<std::string> words = {"mpirun", "-n", std::to_string(cluster.num_ranks())};
  if (!cluster.hostfile.empty()) {
    words.insert(words.end(), {"--hostfile", cluster.hostfile});
  }
  std::string options = cluster.site.mpirun_options;
  if (options.empty()) {
    // mpirun refuses more than a node's cores, and threads may be hyper-threads: they count where the cores are known.
    const int64_t threads = cluster.site.cores_per_node > 0 ? job.threads : 0;
    options = "--map-by ppr:" + std::to_string(cluster.ranks_per_node) +
              ":node:pe=" + std::to_string(cluster.CpusPerRank(threads, cluster.ranks_per_node)) +
              " --bind-to core";
  }
  for (size_t begin = 0; begin < options.size();) {
    const size_t end = std::min(options.find(' ', begin), options.size());
    if (end > begin) words.push_back(options.substr(begin, end - begin));
    begin = end + 1;
  }
  for (const JobVariable& variable : variables) {
    // mpirun hands its own variables on by itself.
    if (!variable.name.starts_with("OMPI_")) words.insert(words.end(), {"-x", variable.name});
  }
  words.insert(words.end(), cluster.site.prefix.begin(), cluster.site.prefix.end());
  words.insert(words.end(), {program, job.command, job.config});
  for (const std::string& setting : job.set) words.insert(words.end(), {"--set", setting});
  return words;
}

}  // namespace breakeven
