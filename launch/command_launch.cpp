// breakeven launch: a config's job on a cluster, checked, written as a script or command, and
// started.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/log.h"
#include "launch/child_process.h"
#include "launch/cluster_checks.h"
#include "launch/cluster_script.h"
#include "launch/command.h"
#include "launch/job.h"
#include "launch/launcher_environment.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;

// A job that is ready to go.
struct Plan {
  ClusterJob job;
  std::string program;
  std::vector<JobVariable> variables;
  std::vector<std::string> notes;
  std::string script;  // Slurm: text, and the file that it goes to
  std::string script_path;
};

const char* Variable(const char* name) { return std::getenv(name); }

Plan MakePlan(ClusterJob job, bool slurm, const std::vector<std::string>& made_before) {
  Plan plan;
  plan.program = job.cluster.site.program.empty() ? OwnProgram() : job.cluster.site.program;
  const RunHistory history = ReadRunHistory(job.output());
  const int64_t lead = !slurm                         ? 0
                       : job.cluster.save_seconds > 0 ? job.cluster.save_seconds
                                                      : LeadSeconds(history);
  ClusterChecks checks;
  checks.program = plan.program;
  checks.made_before = made_before;
  plan.notes = CheckClusterJob(job, checks, lead);
  const std::string time = DescribeTime(job, history, TotalSteps(job), lead);
  if (!time.empty()) plan.notes.push_back(time);
  plan.variables = JobVariables(job, plan.program, lead, Variable);
  if (slurm) {
    plan.script = SlurmScript(job, plan.variables, fs::current_path().string(), lead);
    plan.script_path = job.Logs() + "/" + job.Name() + ".sbatch";
  }
  plan.job = std::move(job);
  return plan;
}

void Say(const Plan& plan) {
  const ClusterJobConfig& cluster = plan.job.cluster;
  LogInfo(plan.job.command + " " + plan.job.config + ": " + std::to_string(cluster.num_ranks()) +
          " rank(s), " + std::to_string(cluster.nodes) + " node(s) x " +
          std::to_string(cluster.ranks_per_node) + ", " + std::to_string(plan.job.CpusPerRank()) +
          " core(s) and " + std::to_string(cluster.gpus_per_rank) + " GPU(s) each");
  std::vector<JobVariable> variables = plan.variables;
  if (!plan.script.empty()) {
    const std::vector<JobVariable> options = SbatchVariables(cluster.site, Variable);
    variables.insert(variables.begin(), options.begin(), options.end());
  }
  LogInfo("variables of the job, and whose value holds:\n" + FormatVariables(variables));
  for (const std::string& note : plan.notes) LogInfo(note);
}

// In a process that a launcher started, its variables would make sbatch's or mpirun's ranks believe
// that they are its own.
void ScrubLauncherVariables() {
  if (DescribeLaunch().world_size > 1) {
    throw Error(
        ErrorKind::kUsage,
        "breakeven launch was itself started by a launcher, once for each rank. Start it "
        "without mpirun or srun; in a shell of `srun -n N --pty`, unset SLURM_STEP_ID first");
  }
  for (const std::string& name : LauncherVariables()) ::unsetenv(name.c_str());
}

// What `command` prints, without the last line break. Its own messages go to the console.
std::string OutputOf(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) {
    throw Error(ErrorKind::kMachine,
                "cannot start a shell for " + command + ": " + std::strerror(errno));
  }
  std::string text;
  char buffer[256];
  while (std::fgets(buffer, sizeof(buffer), pipe) != nullptr) text += buffer;
  const int status = ::pclose(pipe);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (code == 127) {
    throw Error(
        ErrorKind::kMachine,
        "sbatch is not found: submit from a login node of the cluster, or look at the script "
        "with --dry-run");
  }
  if (code != 0) {
    throw Error(ErrorKind::kUsage, "sbatch refused the job with exit code " + std::to_string(code) +
                                       "; its reason stands above. The command: " + command);
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// The number of the job.
std::string Submit(const Plan& plan, const std::string& after) {
  CreateFolders(plan.job.Logs());
  WriteFileDurably(plan.script_path, plan.script);
  std::string command = "sbatch --parsable";
  if (!after.empty()) command += " --dependency=afterok:" + after + " --kill-on-invalid-dep=yes";
  const std::string answer = OutputOf(command + " " + ShellQuote(plan.script_path));
  return answer.substr(0, answer.find(';'));  // "JOB;CLUSTER" where there are several
}

// The job and the eval behind it, if any.
std::vector<Plan> PlanSlurm(ClusterJob first) {
  std::vector<Plan> plans;
  const std::string then = first.cluster.then;
  plans.push_back(MakePlan(std::move(first), /*slurm=*/true, {}));
  if (then.empty()) return plans;
  ClusterJob second = ReadClusterJob(then, {});
  if (!second.has_cluster) {
    second.cluster = plans[0].job.cluster;
    second.cluster.job_name.clear();
    second.cluster.logs.clear();
    second.cluster.save_seconds = 0;
  }
  if (!second.cluster.then.empty() && second.has_cluster) {
    throw Error(ErrorKind::kUsage, then + ": cluster.then: only one job can follow another");
  }
  second.cluster.then.clear();
  const std::string made = plans[0].job.output();
  plans.push_back(MakePlan(std::move(second), /*slurm=*/true, {made}));
  return plans;
}

nlohmann::ordered_json PlanJson(const Plan& plan, const std::string& job) {
  nlohmann::ordered_json json = {{"command", plan.job.command},
                                 {"config", plan.job.config},
                                 {"ranks", plan.job.cluster.num_ranks()},
                                 {"notes", plan.notes}};
  for (const JobVariable& variable : plan.variables) {
    json["variables"].push_back(
        {{"name", variable.name}, {"value", variable.value}, {"from", variable.from}});
  }
  if (!plan.script.empty()) json["script"] = plan.script;
  if (!job.empty()) json["script_path"] = plan.script_path;
  if (!job.empty()) json["job"] = job;
  return json;
}

void LaunchSlurm(const CommandOptions& options, World& world, ClusterJob job) {
  const std::vector<Plan> plans = PlanSlurm(std::move(job));
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  std::string text;
  std::string before;
  for (const Plan& plan : plans) {
    Say(plan);
    if (options.dry_run) {
      text += plan.script;
    } else {
      before = Submit(plan, before);
      text += "submitted job " + before + ": " + plan.script_path + "\n";
    }
    all.push_back(PlanJson(plan, before));
  }
  PrintResult(world, options.json ? all.dump(2) + "\n" : text);
}

// Becomes mpirun, so that signals and the exit code are its own.
void LaunchMpirun(const CommandOptions& options, World& world, ClusterJob job) {
  if (!job.cluster.sweep.empty() || !job.cluster.then.empty()) {
    throw Error(ErrorKind::kUsage, "cluster.sweep and cluster.then need --slurm");
  }
  if (job.cluster.nodes > 1 && job.cluster.hostfile.empty()) {
    throw Error(ErrorKind::kUsage, "cluster.hostfile: empty, and cluster.nodes is " +
                                       std::to_string(job.cluster.nodes) +
                                       ". Name the file that lists the hosts: NAME slots=RANKS");
  }
  if (!job.cluster.site.modules.empty()) {
    LogInfo("cluster.site.modules are not loaded here: load them in your shell first");
  }
  const Plan plan = MakePlan(std::move(job), /*slurm=*/false, {});
  std::vector<std::string> words = MpirunCommand(plan.job, plan.variables, plan.program);
  Say(plan);
  if (options.dry_run) {
    std::string line;
    for (const JobVariable& variable : plan.variables) {
      if (variable.from != "environment") {
        line += variable.name + "=" + ShellQuote(variable.value) + " ";
      }
    }
    for (const std::string& word : words) line += ShellQuote(word) + " ";
    line.back() = '\n';
    nlohmann::ordered_json json = PlanJson(plan, "");
    json["words"] = words;
    return PrintResult(world, options.json ? json.dump(2) + "\n" : line);
  }
  for (const JobVariable& variable : plan.variables) {
    ::setenv(variable.name.c_str(), variable.value.c_str(), /*overwrite=*/1);
  }
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::fflush(nullptr);
  ::execvp(arguments[0], arguments.data());
  throw Error(ErrorKind::kMachine, std::string("cannot start mpirun: ") + std::strerror(errno) +
                                       ". Install Open MPI, or load its module");
}

}  // namespace

void RunLaunchCommand(const CommandOptions& options, World& world) {
  if (options.help_config) {
    return PrintResult(world,
                       FormatOptionTable(SchemaOf<ClusterSection>(), TreeOf(ClusterSection{})));
  }
  ClusterJob job = ReadClusterJob(options.config, options.set);
  if (options.print_config)
    return PrintResult(world, options.json ? job.printed_json : job.printed);
  if (options.paths) return PrintResult(world, FormatPaths(job.paths));
  if (!options.slurm && !options.mpirun) {
    throw Error(ErrorKind::kUsage,
                "by what? Give --slurm (submits a batch job) or --mpirun (starts the ranks now); "
                "with --dry-run both only print");
  }
  ScrubLauncherVariables();
  if (options.slurm) return LaunchSlurm(options, world, std::move(job));
  LaunchMpirun(options, world, std::move(job));
}

}  // namespace breakeven
