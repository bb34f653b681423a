// Pure.
#include "trainer/checkpoint/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/base/own_file.h"
#include "trainer/checkpoint/manifest.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step_";
constexpr std::string_view kTemporary = ".tmp";

std::string DescribeThisProcess() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  std::string text = "host " + std::string(host.data()) + ", pid " + std::to_string(::getpid());
  if (const char* job = std::getenv("SLURM_JOB_ID")) text += ", job " + std::string(job);
  return text;
}

std::optional<int64_t> StepOfName(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  int64_t step = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
  if (error != std::errc() || end != name.data() + name.size() || step < 0) return std::nullopt;
  return step;
}

void RemoveTree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) throw Error(ErrorKind::kIo, path + ": cannot delete: " + error.message());
}

// A copy under another name would be trained on from the wrong place.
void CheckStep(const CheckpointEntry& entry, const Manifest& manifest) {
  if (manifest.step == entry.step) return;
  throw Error(ErrorKind::kBadData,
              entry.path + ": its manifest is that of step " + std::to_string(manifest.step));
}

}  // namespace

FolderLock::FolderLock(const std::string& run_folder) {
  const std::string path = run_folder + "/lock";
  fd_ = OpenOwnFile(path, O_RDWR | O_CREAT);
  if (fd_ < 0) {
    throw Error(ErrorKind::kCannotCreate,
                path + ": cannot create: " + WhyNotOpened(errno) + ". Choose another `output`.");
  }
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    std::array<char, 512> holder{};
    const ssize_t size = ::pread(fd_, holder.data(), holder.size() - 1, 0);
    ::close(fd_);
    if (error != EWOULDBLOCK) {
      throw Error(ErrorKind::kCannotCreate,
                  path + ": cannot lock: " + std::strerror(error) +
                      ". Choose an `output` on a file system with locks.");
    }
    throw Error(ErrorKind::kCannotCreate,
                run_folder + ": another run is writing here (" +
                    (size > 0 ? std::string(holder.data()) : std::string("unknown process")) +
                    "). Wait for it, end it, or choose another `output`.");
  }
  const std::string text = DescribeThisProcess();
  // A lock without a readable holder is still a lock: failures to write the name are no reason to
  // stop.
  if (::ftruncate(fd_, 0) == 0 && ::pwrite(fd_, text.data(), text.size(), 0) < 0) return;
}

FolderLock::~FolderLock() { ::close(fd_); }

std::string CheckpointsFolder(const std::string& run_folder) { return run_folder + "/checkpoints"; }

std::string CheckpointName(int64_t step) {
  std::array<char, 32> name{};
  std::snprintf(name.data(), name.size(), "step_%06lld", static_cast<long long>(step));
  return name.data();
}

std::vector<CheckpointEntry> ListCheckpoints(const std::string& run_folder) {
  std::vector<CheckpointEntry> entries;
  std::error_code error;
  for (const auto& item : fs::directory_iterator(CheckpointsFolder(run_folder), error)) {
    const std::optional<int64_t> step = StepOfName(item.path().filename().string());
    if (step.has_value() && item.is_directory()) entries.push_back({*step, item.path().string()});
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.step < b.step; });
  return entries;
}

std::optional<CheckpointEntry> FindNewestComplete(const std::string& run_folder,
                                                  std::vector<std::string>& problems) {
  std::vector<CheckpointEntry> entries = ListCheckpoints(run_folder);
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    try {
      CheckStep(*entry, VerifyCheckpoint(entry->path));
      return *entry;
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kIo) throw;  // the disk's fault, perhaps for a moment only
      problems.push_back(error.what());
    }
  }
  return std::nullopt;
}

std::optional<CheckpointEntry> NewestCheckpoint(const std::string& run_folder) {
  const std::vector<CheckpointEntry> entries = ListCheckpoints(run_folder);
  if (entries.empty()) return std::nullopt;
  const CheckpointEntry& newest = entries.back();
  try {
    CheckStep(newest, ReadManifest(newest.path));
  } catch (const Error& error) {
    throw Error(error.kind(), std::string(error.what()) + ". It is the newest checkpoint of " +
                                  run_folder + ", which is given: name another one");
  }
  return newest;
}

std::vector<std::string> SetAsideDamaged(const std::string& run_folder, int64_t step) {
  std::vector<std::string> moved;
  for (const CheckpointEntry& entry : ListCheckpoints(run_folder)) {
    if (entry.step <= step) continue;
    std::string name = entry.path + ".damaged";
    for (int copy = 2; fs::exists(name); ++copy) {
      name = entry.path + ".damaged" + std::to_string(copy);
    }
    RenameDurably(entry.path, name);
    moved.push_back(name);
  }
  return moved;
}

std::vector<std::string> RemoveLeftovers(const std::string& run_folder) {
  std::vector<std::string> removed;
  std::error_code error;
  for (const auto& item : fs::directory_iterator(CheckpointsFolder(run_folder), error)) {
    if (item.path().string().ends_with(kTemporary)) removed.push_back(item.path().string());
  }
  std::sort(removed.begin(), removed.end());
  for (const std::string& path : removed) RemoveTree(path);
  return removed;
}

void WriteLatest(const std::string& run_folder, int64_t step) {
  WriteFileDurably(CheckpointsFolder(run_folder) + "/latest", CheckpointName(step) + "\n");
}

void DeleteOldCheckpoints(const std::string& run_folder, int64_t keep_last, int64_t best_step) {
  std::vector<CheckpointEntry> entries = ListCheckpoints(run_folder);
  const size_t keep =
      std::min(entries.size(), static_cast<size_t>(std::max<int64_t>(1, keep_last)));
  entries.resize(entries.size() - keep);
  for (const CheckpointEntry& entry : entries) {
    if (entry.step == best_step) continue;
    const std::string doomed = entry.path + std::string(kTemporary);
    RenameDurably(entry.path, doomed);
    FaultPoint("checkpoint.deleting", entry.step);
    RemoveTree(doomed);
  }
}

}  // namespace breakeven
