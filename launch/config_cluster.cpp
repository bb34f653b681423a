// Pure. Names, helps, limits and rules of the `cluster:` section and of site files.
#include "launch/config_cluster.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "comm/base/error.h"

namespace breakeven {
namespace {

[[noreturn]] void Refuse(const std::string& message) { throw Error(ErrorKind::kUsage, message); }

bool IsVariableName(const std::string& name) {
  return !name.empty() && std::isdigit(static_cast<unsigned char>(name[0])) == 0 &&
         std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return c == '_' || (c < 128 && std::isalnum(c) != 0); });
}

// A script is made of lines: what would be two of them is refused.
void CheckOneLine(const std::string& key, const std::string& value) {
  const bool plain =
      std::none_of(value.begin(), value.end(), [](unsigned char c) { return c < 32 || c == 127; });
  if (!plain) Refuse(key + ": control characters or line breaks; give one line");
}

// Values of #SBATCH lines, which Slurm reads as words.
void CheckWord(const std::string& key, const std::string& value) {
  CheckOneLine(key, value);
  if (value.find_first_of(" \"'\\#") != std::string::npos) {
    Refuse(key + ": \"" + value + "\" has blanks, quotes or #; give one plain word");
  }
}

// Elements that write one folder would wait for each other's lock, or end with 73.
void CheckSweep(const std::vector<SweepCase>& sweep) {
  std::set<std::string> outputs;
  for (size_t i = 0; i < sweep.size(); ++i) {
    const std::string key = "cluster.sweep." + std::to_string(i) + ".set";
    std::string output;
    for (const std::string& setting : sweep[i].set) {
      CheckOneLine(key, setting);
      if (setting.starts_with("output=")) output = setting;
    }
    if (output.empty()) Refuse(key + ": no output=FOLDER. Give each case a folder of its own");
    if (!outputs.insert(output).second) {
      Refuse(key + ": " + output + " is another case's as well. Give each case its own folder");
    }
  }
}

}  // namespace

void SiteConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"name", "what people call the cluster"}, name);
  v.Visit({"launcher", "what starts the ranks inside a Slurm job: srun (PMIx) or mpirun",
           OneOf({"srun", "mpirun"})},
          launcher);
  v.Visit({"partition", "Slurm partition; empty = Slurm's default"}, partition);
  v.Visit({"account", "Slurm account"}, account);
  v.Visit({"qos", "Slurm quality of service"}, qos);
  v.Visit({"constraint", "Slurm constraint on nodes; bit-equal results need nodes of one kind"},
          constraint);
  v.Visit({"sbatch_options", "further options of sbatch, each a whole one: --exclusive"},
          sbatch_options);
  v.Visit({"modules", "loaded before the program starts, in this order"}, modules);
  v.Visit({"environment", "variables of the job; those that the user has set already win"},
          environment);
  v.Visit({"program", "path of breakeven on the nodes; empty = the one that launches"}, program);
  v.Visit({"prefix", "words before the program: apptainer, exec, --nv, breakeven.sif"}, prefix);
  v.Visit({"mpirun_options", "how mpirun maps and binds; empty = each rank on cores of its own"},
          mpirun_options);
  v.Visit({"shared_paths", "folders on the shared file system; empty = judged by type"},
          shared_paths);
  v.Visit({"local_scratch", "a node's own disk, for `cluster.stage_data`"}, local_scratch);
  v.Visit({"cores_per_node", "0 = not said", AtLeast(0)}, cores_per_node);
  v.Visit({"gpus_per_node", "0 = none", AtLeast(0)}, gpus_per_node);
  v.Visit({"max_time_minutes", "longest job; 0 = not said", AtLeast(0)}, max_time_minutes);
}

void SiteConfig::Validate() const {
  CheckWord("cluster.site.partition", partition);
  CheckWord("cluster.site.account", account);
  CheckWord("cluster.site.qos", qos);
  CheckOneLine("cluster.site.name", name);
  CheckOneLine("cluster.site.constraint", constraint);
  CheckOneLine("cluster.site.program", program);
  CheckOneLine("cluster.site.mpirun_options", mpirun_options);
  CheckOneLine("cluster.site.local_scratch", local_scratch);
  for (const std::string& option : sbatch_options) {
    CheckOneLine("cluster.site.sbatch_options", option);
    if (!option.starts_with("--")) {
      Refuse("cluster.site.sbatch_options: \"" + option + "\" is no whole option: --NAME=VALUE");
    }
  }
  for (const std::string& module : modules) CheckOneLine("cluster.site.modules", module);
  for (const std::string& word : prefix) {
    CheckOneLine("cluster.site.prefix", word);
    if (word.find(' ') != std::string::npos) {
      Refuse("cluster.site.prefix: \"" + word + "\" has blanks; give a list of single words");
    }
  }
  for (const auto& [variable, value] : environment) {
    if (!IsVariableName(variable)) {
      Refuse("cluster.site.environment: \"" + variable +
             "\" cannot be a variable: letters, digits and _ only");
    }
    CheckOneLine("cluster.site.environment." + variable, value);
  }
}

void SweepCase::VisitFields(FieldVisitor& v) {
  v.Visit({"set", "settings of this case, key=value, `output` among them", Required()}, set);
}

void ClusterJobConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"site", "the cluster; usually a file of cluster/sites/"}, site);
  v.Visit({"command", "what the config is for; empty = told by its keys",
           OneOf({"", "train", "eval", "study"})},
          command);
  v.Visit({"job_name", "empty = the config's file name"}, job_name);
  v.Visit({"nodes", "machines", AtLeast(1)}, nodes);
  v.Visit({"ranks_per_node", "on GPUs one for each, on CPUs one for a socket or 4 to 8 cores",
           AtLeast(1)},
          ranks_per_node);
  v.Visit({"cpus_per_rank",
           "cores of a rank, at least the config's `threads`; 0 = these, or the site's cores "
           "divided among the ranks",
           AtLeast(0)},
          cpus_per_rank);
  v.Visit({"gpus_per_rank", "1 on GPUs, 0 on CPUs", Between(0, 1)}, gpus_per_rank);
  v.Visit({"time_minutes", "time limit; a job that needs more saves and is requeued", AtLeast(1)},
          time_minutes);
  v.Visit({"save_seconds",
           "how long before the time limit to save; 0 = twice the longest save and a step of the "
           "last run in `output`, at least 120",
           AtLeast(0)},
          save_seconds);
  v.Visit({"attempts", "starts without a new checkpoint or record after which the job gives up",
           AtLeast(1)},
          attempts);
  v.Visit({"stage_data", "copy token datasets to cluster.site.local_scratch of every node"},
          stage_data);
  v.Visit({"logs", "folder for the script and the output of each start; empty = OUTPUT.logs"},
          logs);
  v.Visit({"hostfile", "--mpirun: Open MPI's list of hosts; empty = this machine"}, hostfile);
  v.Visit({"sweep", "--slurm: one array job, an element for each of these"}, sweep);
  v.Visit({"sweep_at_once", "elements that run at the same time; 0 = all", AtLeast(0)},
          sweep_at_once);
  v.Visit({"then", "--slurm: config of an eval that runs when this job has ended well"}, then);
}

void ClusterSection::VisitFields(FieldVisitor& v) {
  v.Visit({"cluster", "where the job runs: read by `breakeven launch`, by nothing else",
           FieldLimits{}, /*hashed=*/false},
          cluster);
}

int64_t ClusterJobConfig::CpusPerRank(int64_t threads, int64_t ranks_on_node) const {
  if (threads > 0 || cpus_per_rank > 0) return std::max(threads, cpus_per_rank);
  return std::max<int64_t>(1, site.cores_per_node / ranks_on_node);
}

void ClusterJobConfig::Validate() const {
  site.Validate();
  CheckWord("cluster.job_name", job_name);
  CheckOneLine("cluster.logs", logs);
  if (stage_data && site.local_scratch.empty()) {
    Refuse(
        "cluster.stage_data: true, and cluster.site.local_scratch is empty. Give the folder of "
        "the nodes' own disks, /tmp say");
  }
  const auto per_node = [&](const char* key, int64_t each, const char* limit_key, int64_t limit) {
    if (ranks_per_node * each <= limit) return;
    Refuse(std::string(key) + ": " + std::to_string(each) + " x cluster.ranks_per_node " +
           std::to_string(ranks_per_node) + " are more than cluster.site." + limit_key + ": " +
           std::to_string(limit) + ". Take more nodes or fewer ranks on each");
  };
  if (gpus_per_rank > 0) {
    per_node("cluster.gpus_per_rank", gpus_per_rank, "gpus_per_node", site.gpus_per_node);
  }
  if (site.cores_per_node > 0) {
    // The config's threads are not known here: CheckClusterJob sees to them.
    per_node("cluster.cpus_per_rank", CpusPerRank(/*threads=*/0, ranks_per_node), "cores_per_node",
             site.cores_per_node);
  }
  if (site.max_time_minutes > 0 && time_minutes > site.max_time_minutes) {
    Refuse("cluster.time_minutes: " + std::to_string(time_minutes) +
           " is more than cluster.site.max_time_minutes: " + std::to_string(site.max_time_minutes) +
           ". Ask for less: a job that needs more saves and is requeued");
  }
  if (!sweep.empty() && !then.empty()) {
    Refuse(
        "cluster.then and cluster.sweep: an eval follows one job, not a sweep; give one of them");
  }
  CheckSweep(sweep);
}

}  // namespace breakeven
