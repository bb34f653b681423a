// Saves checkpoints, if asked beside the training that goes on: the ranks stop for a copy of what is
// saved, and threads of theirs write it. Internal to trainer; needs ATen.
#ifndef BREAKEVEN_TRAINER_CHECKPOINT_SAVER_H_
#define BREAKEVEN_TRAINER_CHECKPOINT_SAVER_H_

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "comm/base/timing.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/training_session.h"

namespace breakeven {

// A checkpoint that is whole on disk, read back, and named by `latest`.
struct SavedCheckpoint {
  int64_t step = 0;
  std::string hash;
  double seconds = 0;        // since Begin, as this rank saw it
  double stall_seconds = 0;  // of these, not spent beside training
};

// Every rank writes a part: rank 0 the weights, all of them moments, with `optimizer.shard` those of
// their own shard. Where ranks do not share the run folder (preflight.shared_output: false) rank 0
// writes everything. Rank 0 then commits. The ranks agree between the phases at the boundary of a
// step, where each has said in the step's report whether it still writes.
//
// What a phase failed with is thrown by Advance on all ranks alike, and step_N.tmp is removed.
class CheckpointSaver {
 public:
  // `session` must outlive it.
  explicit CheckpointSaver(TrainingSession& session) : session_(session) {}
  // Waits for this rank's thread, not for the other ranks: what is not committed is not saved.
  ~CheckpointSaver();
  CheckpointSaver(const CheckpointSaver&) = delete;
  CheckpointSaver& operator=(const CheckpointSaver&) = delete;

  // COLLECTIVE; nothing may be under way. Begins to save the session's weights, moments and `state`,
  // as they are now. In the background: returns when they are copied, into memory that is kept for
  // the next time (12 bytes a parameter over the ranks). Otherwise, and where a host has no room for
  // the copies, all is written on return: false, and Finish has nothing to wait for. Error(kInternal)
  // when weights differ over ranks.
  bool Begin(const TrainingState& state, bool in_background);

  bool under_way() const { return phase_ != Phase::kIdle; }
  // This rank's word for the step's report.
  bool busy() const { return under_way() && !ready_; }

  // COLLECTIVE; while one is under way and no rank is busy (where one is, all wait for it). On to the
  // next phase; behind the last the checkpoint, on every rank.
  std::optional<SavedCheckpoint> Advance();
  // COLLECTIVE. Waits for the end of what is under way; nothing when nothing is.
  std::optional<SavedCheckpoint> Finish();

 private:
  enum class Phase { kIdle, kWriting, kCommitting };

  bool ranks_share_folder() const { return session_.inputs.shares_folder; }
  std::vector<HeldStretch> OwnMoments() const;  // views of what training goes on to change
  int64_t CopyElements() const;                 // of this rank's part
  bool HaveRoom();                              // COLLECTIVE, once: for the copies of all ranks
  CheckpointPart CollectPart(bool copied);
  at::Tensor Copied(const at::Tensor& values);
  void Run(std::function<void()> work);  // one phase of this rank
  void Join();
  FileRecords GatherRecords();
  void Commit(const FileRecords& files);

  TrainingSession& session_;
  Phase phase_ = Phase::kIdle;
  TrainingState state_;  // of the checkpoint under way
  bool in_background_ = false;
  Stopwatch watch_;
  double stall_seconds_ = 0;
  std::unique_ptr<float[]> memory_;  // copies
  int64_t memory_elements_ = 0;
  int64_t used_elements_ = 0;
  std::optional<bool> have_room_;
  std::thread thread_;
  std::atomic<bool> ready_ = false;
  std::exception_ptr error_;
  FileRecords records_;  // of this rank's part
  std::string hash_;     // rank 0
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_CHECKPOINT_SAVER_H_
