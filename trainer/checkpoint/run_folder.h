// Pure. The folder of a run: its lock, its checkpoints, which of them stay.
#ifndef BREAKEVEN_TRAINER_CHECKPOINT_RUN_FOLDER_H_
#define BREAKEVEN_TRAINER_CHECKPOINT_RUN_FOLDER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace breakeven {

struct CheckpointEntry {
  int64_t step = 0;
  std::string path;
};

// Held by rank 0 for as long as a run writes to its folder: flock on RUN/lock, which a killed
// process gives up by itself.
class FolderLock {
 public:
  // Error(kCannotCreate) when another process holds it, naming its host, pid and job from the file;
  // or when the file cannot be made.
  explicit FolderLock(const std::string& run_folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int fd_ = -1;
};

std::string CheckpointsFolder(const std::string& run_folder);  // RUN/checkpoints
std::string CheckpointName(int64_t step);                      // "step_000120"

// Folders named step_N, by step, whatever is in them. *.tmp are none. Empty when RUN/checkpoints is
// not there.
std::vector<CheckpointEntry> ListCheckpoints(const std::string& run_folder);

// The newest checkpoint whose every file has the hash that its manifest says. `problems` receives a
// line for each newer one that was passed over. Nothing when none is whole.
std::optional<CheckpointEntry> FindNewestComplete(const std::string& run_folder,
                                                  std::vector<std::string>& problems);

// The checkpoint that a run folder stands for where a model is wanted: the newest, whatever `latest` says, which a kill
// between rename and `latest` leaves one behind. Of its files the manifest alone is read: who loads the others verifies
// them. Nothing where there is none. Error(kBadData) where the manifest of the newest is missing or damaged: an older one
// is not taken for it silently.
std::optional<CheckpointEntry> NewestCheckpoint(const std::string& run_folder);

// Renames the checkpoints newer than `step`, which FindNewestComplete passed over, to
// step_N.damaged, so that neither retention nor a later resume counts them. Returns the new names.
std::vector<std::string> SetAsideDamaged(const std::string& run_folder, int64_t step);

// What an interrupted save left: RUN/checkpoints/*.tmp, and folders half-deleted. Returns what it
// removed.
std::vector<std::string> RemoveLeftovers(const std::string& run_folder);

// RUN/checkpoints/latest := the checkpoint's name, replaced atomically, for people and other
// programs.
void WriteLatest(const std::string& run_folder, int64_t step);

// Deletes all but the `keep_last` newest and `best_step`, oldest first; each is renamed to *.tmp
// before, so that a half-deleted one never looks like a checkpoint. Call only after the newest was
// verified on disk. Error(kIo).
void DeleteOldCheckpoints(const std::string& run_folder, int64_t keep_last, int64_t best_step);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_CHECKPOINT_RUN_FOLDER_H_
