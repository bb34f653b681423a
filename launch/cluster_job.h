// Pure. A config as a job on a cluster: which command it is for, what it reads and writes, and
// where it shall run.
#ifndef BREAKEVEN_LAUNCH_CLUSTER_JOB_H_
#define BREAKEVEN_LAUNCH_CLUSTER_JOB_H_

#include <cstdint>
#include <string>
#include <vector>

#include "launch/config_cluster.h"

namespace breakeven {

struct JobPath {
  enum class Kind { kInput, kDataset, kOutput };  // kDataset: of tokens, read over and over
  Kind kind;
  std::string key;  // as --set takes it
  std::string path;
};

struct ClusterJob {
  std::string command;           // train | eval | study
  std::string config;            // path of the YAML file
  std::vector<std::string> set;  // --set of the command line, for the ranks as well
  ClusterJobConfig cluster;
  bool has_cluster = false;  // the file has such a section
  std::vector<JobPath> paths;
  std::string device = "auto";
  int64_t threads = 0;       // of a rank; 0 = the config sets none
  bool starts_anew = false;  // resume: none
  // Of a training: steps to do in all; 0 = max_steps is not given and a look at the data must tell.
  int64_t max_steps = 0;
  double epochs = 0;
  int64_t examples_per_step = 0;  // 0 = steps are cut by tokens
  std::string printed;            // the resolved config as YAML
  std::string printed_json;

  const std::string& output() const;
  // ClusterJobConfig's, for this job.
  int64_t CpusPerRank() const;
  // cluster.job_name, or the config's file name without ending; cluster.logs, or OUTPUT.logs.
  std::string Name() const;
  std::string Logs() const;
};

// Errors(kUsage): as every config's; no config file; a config whose keys fit several commands
// alike; an eval that names no output.
ClusterJob ReadClusterJob(const std::string& config, const std::vector<std::string>& set);

// "KIND\tKEY\tPATH" a line, KIND one of input, dataset, output: for scripts.
std::string FormatPaths(const std::vector<JobPath>& paths);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_CLUSTER_JOB_H_
