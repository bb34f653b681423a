// Pure.
#include "launch/cluster_checks.h"

#include <sys/vfs.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "comm/base/error.h"
#include "comm/base/progress.h"
#include "data_pipeline/token_dataset.h"
#include "launch/print_text.h"
#include "trainer/total_steps.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void Refuse(const std::string& message) { throw Error(ErrorKind::kUsage, message); }

// statfs(2)'s numbers of file systems that live on one machine.
struct FileSystemType {
  int64_t magic;
  const char* name;
};
constexpr FileSystemType kLocal[] = {
    {0xEF53, "ext4"},         {0x58465342, "xfs"},       {0x9123683E, "btrfs"},
    {0x01021994, "tmpfs"},    {0x794C7630, "overlayfs"}, {0x858458F6, "ramfs"},
    {0x2FC12FC1, "zfs"},      {0xF2F52010, "f2fs"},      {0x4D44, "fat"},
    {0x73717368, "squashfs"},
};

fs::path Absolute(const std::string& path) { return fs::weakly_canonical(fs::absolute(path)); }

bool IsBelow(const fs::path& path, const fs::path& folder) {
  const auto [end, rest] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return end == folder.end() || (std::next(end) == folder.end() && end->empty());
}

bool IsBelowOneOf(const std::string& path, const std::vector<std::string>& folders) {
  return std::any_of(folders.begin(), folders.end(), [&](const std::string& folder) {
    return IsBelow(Absolute(path), Absolute(folder));
  });
}

// `path`, or its nearest folder that is there already.
fs::path Existing(const std::string& path) {
  fs::path existing = Absolute(path);
  while (!fs::exists(existing) && existing.has_relative_path()) existing = existing.parent_path();
  return existing;
}

void CheckExists(const JobPath& path, const ClusterChecks& checks) {
  if (fs::exists(path.path) || IsBelowOneOf(path.path, checks.made_before)) return;
  Refuse(path.key + ": " + path.path + " does not exist. Make it, or correct the path");
}

void CheckShared(const JobPath& path, const ClusterJob& job, const ClusterChecks& checks) {
  const std::vector<std::string>& shared = job.cluster.site.shared_paths;
  if (shared.empty()) {
    const std::string local = checks.local_file_system(Existing(path.path).string());
    if (local.empty()) return;
    Refuse(path.key + ": " + path.path + " lies on " + local + ", which other nodes do not see, " +
           "and the job has " + std::to_string(job.cluster.nodes) +
           " nodes. Move it to the shared file system, or name the shared folders in "
           "cluster.site.shared_paths");
  }
  if (IsBelowOneOf(path.path, shared)) return;
  std::string list;
  for (const std::string& folder : shared) list += (list.empty() ? "" : ", ") + folder;
  Refuse(path.key + ": " + path.path + " is not below cluster.site.shared_paths (" + list +
         "). Move it there");
}

void CheckGpus(const ClusterJob& job, std::vector<std::string>& notes) {
  const ClusterJobConfig& cluster = job.cluster;
  if (job.device == "cuda" && cluster.gpus_per_rank == 0) {
    Refuse("cluster.gpus_per_rank: 0, and device: cuda. Give 1, or device: cpu");
  }
  if (job.device == "cpu" && cluster.gpus_per_rank > 0) {
    Refuse("cluster.gpus_per_rank: 1, and device: cpu. Give 0, or device: auto");
  }
  const int64_t used = cluster.ranks_per_node * cluster.gpus_per_rank;
  if (used > 0 && used < cluster.site.gpus_per_node) {
    notes.push_back("a node's " + std::to_string(cluster.site.gpus_per_node - used) + " of " +
                    std::to_string(cluster.site.gpus_per_node) +
                    " GPUs stay idle: cluster.ranks_per_node is " +
                    std::to_string(cluster.ranks_per_node));
  }
  if (used == 0 && cluster.site.gpus_per_node > 0) {
    notes.push_back("the nodes have GPUs and cluster.gpus_per_rank is 0: this job asks for none");
  }
}

// Of cluster.cpus_per_rank and the site's share ClusterJobConfig::Validate has seen to it.
void CheckThreads(const ClusterJob& job) {
  const int64_t cores = job.cluster.site.cores_per_node;
  const int64_t ranks = job.cluster.ranks_per_node;
  if (cores == 0 || job.threads <= cores / ranks) return;
  Refuse("threads: " + std::to_string(job.threads) + " x cluster.ranks_per_node " +
         std::to_string(ranks) + " are more than cluster.site.cores_per_node: " +
         std::to_string(cores) + ". Take fewer threads, more nodes or fewer ranks on each");
}

// Of the training; 0 where nothing tells.
int64_t StepsOfEpoch(const ClusterJob& job) {
  if (job.examples_per_step == 0) return 0;
  const auto data = std::find_if(job.paths.begin(), job.paths.end(),
                                 [](const JobPath& path) { return path.key == "data"; });
  if (data == job.paths.end()) return 0;
  try {
    const int64_t examples = TokenDataset::Open(data->path)->num_examples();
    return (examples + job.examples_per_step - 1) / job.examples_per_step;
  } catch (const Error&) {
    return 0;  // an estimate is not worth an error here: the job says what is wrong with the file
  }
}

}  // namespace

std::string LocalFileSystem(const std::string& path) {
  struct statfs found {};
  if (::statfs(path.c_str(), &found) != 0) return "";
  const auto magic = static_cast<int64_t>(static_cast<uint32_t>(found.f_type));
  for (const FileSystemType& type : kLocal) {
    if (type.magic == magic) return type.name;
  }
  return "";
}

std::vector<std::string> CheckClusterJob(const ClusterJob& job, const ClusterChecks& checks,
                                         int64_t lead_seconds) {
  std::vector<std::string> notes;
  std::vector<JobPath> paths = {
      {JobPath::Kind::kInput, "cluster.site.program", checks.program},
      {JobPath::Kind::kInput, "config", job.config},
  };
  // What a container holds is not for the machine that launches to see.
  if (!job.cluster.site.prefix.empty()) paths.erase(paths.begin());
  paths.insert(paths.end(), job.paths.begin(), job.paths.end());
  for (const JobPath& path : paths) {
    if (path.kind != JobPath::Kind::kOutput) CheckExists(path, checks);
    if (job.cluster.nodes > 1) CheckShared(path, job, checks);
  }
  CheckThreads(job);
  CheckGpus(job, notes);
  if (lead_seconds == 0) return notes;
  if (job.starts_anew) {
    Refuse(
        "resume: none, and a Slurm job goes on after a requeue. Give resume: auto and an output "
        "folder that is new");
  }
  if (job.cluster.time_minutes * 60 <= 2 * lead_seconds) {
    Refuse("cluster.time_minutes: " + std::to_string(job.cluster.time_minutes) +
           ", and the job is told to save " + FormatSeconds(static_cast<double>(lead_seconds)) +
           " before its end: most of its time. Give at least " +
           std::to_string((2 * lead_seconds) / 60 + 1));
  }
  return notes;
}

int64_t TotalSteps(const ClusterJob& job) {
  const int64_t of_epoch = job.max_steps > 0 ? 0 : StepsOfEpoch(job);
  return CountTotalSteps(job.max_steps, job.epochs, [of_epoch](int64_t) { return of_epoch; });
}

std::string DescribeTime(const ClusterJob& job, const RunHistory& history, int64_t total_steps,
                         int64_t lead_seconds) {
  if (history.step_seconds == 0) return "";
  std::string text = "the last run in " + job.output() + " did " + FormatCount(history.last_step) +
                     " steps, " + Print("%.2g", history.step_seconds) +
                     " s each, and its longest save took " +
                     Print("%.2g", history.longest_save_seconds) + " s";
  if (total_steps == 0) return text;
  const double left = SecondsLeft(history, total_steps);
  const auto usable = static_cast<double>(job.cluster.time_minutes * 60 - lead_seconds);
  text +=
      "; at that speed the rest of " + FormatCount(total_steps) + " takes " + FormatSeconds(left);
  const auto jobs = static_cast<int64_t>(std::ceil(left / usable));
  if (jobs > 1) {
    text += ": more than cluster.time_minutes: " + std::to_string(job.cluster.time_minutes) +
            ", so the job is requeued about " + std::to_string(jobs - 1) + " time(s)";
  }
  return text;
}

}  // namespace breakeven
