// Pure. What a config says about the cluster that its job runs on, and what a site file says about
// the cluster itself: read by `breakeven launch`, allowed and ignored by the commands that run
// there.
#ifndef BREAKEVEN_LAUNCH_CONFIG_CLUSTER_H_
#define BREAKEVEN_LAUNCH_CONFIG_CLUSTER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "comm/base/fields.h"

namespace breakeven {

// A cluster, the same for every job on it: a file in cluster/sites/. 0 and "" mean: not said.
struct SiteConfig {
  std::string name;
  std::string launcher = "srun";  // srun | mpirun: what starts the ranks inside a Slurm job
  std::string partition;
  std::string account;
  std::string qos;
  std::string constraint;
  std::vector<std::string> sbatch_options;  // whole options, "--exclusive"
  std::vector<std::string> modules;
  std::map<std::string, std::string> environment;  // the user's own environment wins
  std::string program;                             // "" = the one that launches
  std::vector<std::string> prefix;                 // words before the program: a container's
  std::string mpirun_options;                      // "" = a rank on its own cores
  std::vector<std::string> shared_paths;           // folders that every node sees
  std::string local_scratch;                       // node's own disk; "" = datasets are not copied
  int64_t cores_per_node = 0;
  int64_t gpus_per_node = 0;
  int64_t max_time_minutes = 0;
  void VisitFields(FieldVisitor& v);
  void Validate() const;
};

// One element of a sweep: the settings that make it differ.
struct SweepCase {
  std::vector<std::string> set;
  void VisitFields(FieldVisitor& v);
};

struct ClusterJobConfig {
  SiteConfig site;
  std::string command;   // train | eval | study; "" = by the keys of the config
  std::string job_name;  // "" = the config's file name
  int64_t nodes = 1;
  int64_t ranks_per_node = 1;
  int64_t cpus_per_rank = 0;  // at least the config's threads; 0: CpusPerRank
  int64_t gpus_per_rank = 0;
  int64_t time_minutes = 60;
  int64_t save_seconds = 0;  // before the time limit; 0 = by the last run's saves
  int64_t attempts = 3;
  bool stage_data = false;
  std::string logs;  // "" = OUTPUT.logs
  std::string hostfile;
  std::vector<SweepCase> sweep;
  int64_t sweep_at_once = 0;
  std::string then;  // config of an eval that follows
  void VisitFields(FieldVisitor& v);
  // Errors(kUsage): rules between the keys, as far as the site says.
  void Validate() const;

  int64_t num_ranks() const { return nodes * ranks_per_node; }
  // Cores of a rank where a node has `ranks_on_node` of them: as given here, but at least
  // `threads` (0 = the config sets none); neither: the site's share, else 1.
  int64_t CpusPerRank(int64_t threads, int64_t ranks_on_node) const;
};

// The section alone, for the table of its keys.
struct ClusterSection {
  ClusterJobConfig cluster;
  void VisitFields(FieldVisitor& v);
};

// A command's config with the section that says where it runs.
template <FieldStruct T>
struct WithCluster {
  T job;
  ClusterJobConfig cluster;
  void VisitFields(FieldVisitor& v) {
    job.VisitFields(v);
    ClusterSection section{cluster};
    section.VisitFields(v);
    cluster = section.cluster;
  }
  void Validate() const {
    if constexpr (requires { job.Validate(); }) job.Validate();
    cluster.Validate();
  }
};

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_CONFIG_CLUSTER_H_
