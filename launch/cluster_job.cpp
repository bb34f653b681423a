// Pure.
#include "launch/cluster_job.h"

#include <algorithm>
#include <filesystem>

#include "comm/base/error.h"
#include "launch/config_kind.h"
#include "launch/yaml_reader.h"
#include "trainer/prompt_eval/eval_config.h"
#include "trainer/study/study_config.h"
#include "trainer/training_config.h"

namespace breakeven {
namespace {

using Kind = JobPath::Kind;

class PathList {
 public:
  // Empty ones are not named by the config.
  void Add(Kind kind, const std::string& key, const std::string& path) {
    if (!path.empty()) paths_.push_back({kind, key, path});
  }
  void AddTask(const std::string& key, const TaskConfig& task) {
    for (const auto& [split, file] : task.splits) {
      Add(Kind::kInput, JoinPath(key + ".splits", split) + ".path", file.path);
    }
  }
  std::vector<JobPath> Take() { return std::move(paths_); }

 private:
  std::vector<JobPath> paths_;
};

void Describe(const TrainConfig& config, ClusterJob& job) {
  PathList paths;
  paths.Add(Kind::kOutput, "output", config.output);
  paths.Add(Kind::kDataset, "data", config.data);
  paths.Add(Kind::kDataset, "validation.data", config.validation.data);
  paths.Add(Kind::kInput, "model.path", config.model.path);
  paths.Add(Kind::kInput, "model.config", config.model.config);
  paths.Add(Kind::kInput, "model.tokenizer", config.model.tokenizer);
  if (config.resume != "auto" && config.resume != "none") {
    paths.Add(Kind::kInput, "resume", config.resume);
  }
  if (config.prompt_eval.has_value()) {
    paths.AddTask("prompt_eval.task", config.prompt_eval->task);
    for (const auto& [name, path] : config.prompt_eval->models) {
      paths.Add(Kind::kInput, JoinPath("prompt_eval.models", name), path);
    }
  }
  job.paths = paths.Take();
  job.device = config.device.device;
  job.threads = config.threads;
  job.starts_anew = config.resume == "none";
  job.max_steps = config.max_steps;
  job.epochs = config.epochs;
  job.examples_per_step = config.batching.global_batch.examples;
}

void Describe(const EvalConfig& config, ClusterJob& job) {
  // Not required of the config itself: train's and bench's evaluations name none.
  if (config.output.empty()) {
    throw Error(ErrorKind::kUsage,
                job.config + ": output: no folder given for the records and the table");
  }
  PathList paths;
  paths.Add(Kind::kOutput, "output", config.output);
  for (const auto& [name, path] : config.models) {
    paths.Add(Kind::kInput, JoinPath("models", name), path);
  }
  paths.AddTask("task", config.task);
  job.paths = paths.Take();
  job.device = config.device.device;
  job.threads = config.threads;
}

void Describe(const StudyConfig& config, ClusterJob& job) {
  PathList paths;
  paths.Add(Kind::kOutput, "output", config.output);
  paths.Add(Kind::kInput, "model", config.model);
  paths.AddTask("task", config.task);
  if (config.regression.has_value()) paths.AddTask("regression.task", config.regression->task);
  job.paths = paths.Take();
  job.device = config.train.device.device;
  job.threads = config.threads;
}

template <FieldStruct T>
void Read(ClusterJob& job) {
  const auto config = ReadConfig<WithCluster<T>>(job.config, job.set);
  job.cluster = config.cluster;
  job.printed = PrintConfig(config);
  job.printed_json = FormatJson(TreeOf(config));
  Describe(config.job, job);
}

struct Command : FileKind {
  void (*read)(ClusterJob&);
};

}  // namespace

const std::string& ClusterJob::output() const { return paths.front().path; }

int64_t ClusterJob::CpusPerRank() const {
  return cluster.CpusPerRank(threads, cluster.ranks_per_node);
}

std::string ClusterJob::Name() const {
  if (!cluster.job_name.empty()) return cluster.job_name;
  std::string name = std::filesystem::path(config).stem().string();
  std::replace_if(
      name.begin(), name.end(),
      [](unsigned char c) { return c <= ' ' || c > 126 || c == '"' || c == '\'' || c == '%'; },
      '_');
  return name;
}

std::string ClusterJob::Logs() const {
  if (!cluster.logs.empty()) return cluster.logs;
  std::string folder = output();
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  return folder + ".logs";
}

ClusterJob ReadClusterJob(const std::string& config, const std::vector<std::string>& set) {
  if (config.empty()) {
    throw Error(ErrorKind::kUsage, "no config given: breakeven launch CONFIG --slurm or --mpirun");
  }
  const std::vector<Command> commands = {
      {{"a config of breakeven train", "train", SchemaOf<TrainConfig>()}, Read<TrainConfig>},
      {{"a config of breakeven eval", "eval", SchemaOf<EvalConfig>()}, Read<EvalConfig>},
      {{"a config of breakeven study", "study", SchemaOf<StudyConfig>()}, Read<StudyConfig>},
  };
  ClusterJob job;
  job.config = config;
  job.set = set;
  const ConfigNode tree = ParseYamlFile(config);
  job.has_cluster = tree.Find("cluster") != nullptr;
  const Command& kind = ChooseKind(commands, config, tree, set);
  job.command = kind.command;
  kind.read(job);
  return job;
}

std::string FormatPaths(const std::vector<JobPath>& paths) {
  std::string text;
  for (const JobPath& path : paths) {
    const char* kind = path.kind == Kind::kInput     ? "input"
                       : path.kind == Kind::kDataset ? "dataset"
                                                     : "output";
    text += std::string(kind) + "\t" + path.key + "\t" + path.path + "\n";
  }
  return text;
}

}  // namespace breakeven
