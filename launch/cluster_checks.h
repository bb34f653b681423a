// Pure. What can be found out about a job before it waits in a queue.
#ifndef BREAKEVEN_LAUNCH_CLUSTER_CHECKS_H_
#define BREAKEVEN_LAUNCH_CLUSTER_CHECKS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "launch/cluster_history.h"
#include "launch/cluster_job.h"

namespace breakeven {

// The type of the file system that holds an existing path, "" when other machines see it too (NFS,
// Lustre, GPFS, …), else its name: "ext4".
std::string LocalFileSystem(const std::string& path);

struct ClusterChecks {
  std::string program;  // path on the nodes
  // Folders that an earlier job of the same submission makes: what lies below need not exist yet.
  std::vector<std::string> made_before;
  std::function<std::string(const std::string&)> local_file_system = LocalFileSystem;
};

// Errors(kUsage), naming the key: a file that is missing; a path that other nodes cannot see; GPUs
// or threads that do not fit the node; a job that would begin anew at each requeue or whose time
// limit leaves nothing behind the save. Returns what is worth knowing and no error, a sentence each.
std::vector<std::string> CheckClusterJob(const ClusterJob& job, const ClusterChecks& checks,
                                         int64_t lead_seconds);

// Steps of a training in all; 0 where nothing tells: no training, or steps cut by tokens. Opens the
// dataset where max_steps does not say; one that cannot be read counts as unknown.
int64_t TotalSteps(const ClusterJob& job);

// "the last run in OUTPUT did 120 steps, 2.1 s each, and its longest save took 3 s; at that speed the
// rest of 400 takes 9 min 48 s: more than cluster.time_minutes: 8, so the job is requeued about 1
// time(s)", without what is not known or not so; "" where the folder tells of no step.
std::string DescribeTime(const ClusterJob& job, const RunHistory& history, int64_t total_steps,
                         int64_t lead_seconds);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_CLUSTER_CHECKS_H_
