// Pure. A job on a cluster as what starts it: a batch script for Slurm, an mpirun command.
#ifndef BREAKEVEN_LAUNCH_CLUSTER_SCRIPT_H_
#define BREAKEVEN_LAUNCH_CLUSTER_SCRIPT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "launch/cluster_job.h"

namespace breakeven {

// nullptr: not set.
using GetVariable = std::function<const char*(const char*)>;

// A variable of the job and whose value holds: the user's environment, the site, or a default.
struct JobVariable {
  std::string name;
  std::string value;
  std::string from;           // "environment", "site NAME", "cluster", "default"
  std::string instead_of;     // the value that lost, "" when none did
  std::string proposed;       // what the script offers where the environment says nothing
  std::string proposed_from;  // who offers it
};

// By name. `lead_seconds` is what the job's own clock is told; mpirun jobs have none (0).
std::vector<JobVariable> JobVariables(const ClusterJob& job, const std::string& program,
                                      int64_t lead_seconds, const GetVariable& get);
// The site's partition, account, … as the variables by which sbatch lets the user's environment win
// over a script's options. For people only: Slurm itself decides.
std::vector<JobVariable> SbatchVariables(const SiteConfig& site, const GetVariable& get);
// As a table.
std::string FormatVariables(const std::vector<JobVariable>& variables);

// What a site asks of sbatch, without "#SBATCH ": partition, account, … and its own options.
std::vector<std::string> SiteOptions(const SiteConfig& site);
// "4:05:00"
std::string TimeText(int64_t minutes);

// In single quotes where a shell would see more than one word in `text`.
std::string ShellQuote(const std::string& text);

// cluster/slurm/job.sh, which every script holds.
std::string_view CommonPart();

// The whole batch script; the same job gives the same bytes. `folder`: working directory of the
// job, absolute.
std::string SlurmScript(const ClusterJob& job, const std::vector<JobVariable>& variables,
                        const std::string& folder, int64_t lead_seconds);

// The words of the command. Variables are handed to other hosts by name (-x).
std::vector<std::string> MpirunCommand(const ClusterJob& job,
                                       const std::vector<JobVariable>& variables,
                                       const std::string& program);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_CLUSTER_SCRIPT_H_
