// Pure. Where the ranks of one node meet: a barrier in a shared page at which each also says what it has come for.
#ifndef BREAKEVEN_COMM_SHARED_MEMORY_MEETING_H_
#define BREAKEVEN_COMM_SHARED_MEMORY_MEETING_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "comm/communicator.h"

namespace breakeven {

// What a rank has come for, and where its buffer lies.
struct Post {
  int64_t count = 0;
  int64_t offset = 0;  // of the buffer in its block, bytes
  int32_t block = -1;  // in which all ranks of the node can reach the buffer; < 0: plain memory
  uint32_t call = 0;   // number of the collective on this communicator
  int32_t root = 0;
  Collective collective = Collective::kNone;
  DType dtype = DType::kFloat32;
  ReduceOp op = ReduceOp::kSum;

  // Of the same collective, whatever memory it is on.
  bool Matches(const Post& other) const {
    return count == other.count && call == other.call && root == other.root &&
           collective == other.collective && dtype == other.dtype && op == other.op;
  }
  std::string Text() const;  // "AllReduce, call 17: sum of 1000 float32"
};

// How a rank waits: spinning, which sees the others within 0.1 us; then yielding; then asleep, which costs some
// microseconds to end and leaves the core to others.
struct WaitPolicy {
  int64_t spin_nanoseconds = 50'000;
  int64_t yield_nanoseconds = 200'000;
  double timeout_seconds = 1800;
  std::function<std::string(int)> name_of = {};  // of a rank of the page, for messages: "rank 5"
  // About once a second of a long wait, with the rank that is waited for; may throw. Here a watchdog looks in.
  std::function<void(int rank, double waited_seconds, const Post& post)> on_wait = {};
};

// How a wait of `rank` for `other` ends that does not come; Error(kCommunication) naming both and the call. A rank that leaves in
// the middle has said why, and its launcher ends the job with its exit code: FailLeft gives the launcher a second before this
// rank speaks too, else who is quicker would decide the job's exit code.
[[noreturn]] void FailLeft(const WaitPolicy& policy, int rank, int other, const Post& post);
[[noreturn]] void FailLate(const WaitPolicy& policy, int rank, int other, const Post& post);

// Of a loop that looks at a word again and again.
void PauseBetweenLooks();

// One rank's end of the page. The ranks' lines are written by their owners alone. Two lines a rank, used in turn: a rank
// comes to the meeting after the next only when all have come to the next, so that a post stays until all have read it
// and one meeting is one barrier.
class MeetingPage {
 public:
  static int64_t NumBytes(int num_ranks);
  // `memory`: NumBytes() zeroed bytes, aligned to 128, the same for all ranks.
  MeetingPage(void* memory, int rank, int num_ranks, WaitPolicy policy);
  ~MeetingPage() { Leave(); }
  MeetingPage(const MeetingPage&) = delete;
  MeetingPage& operator=(const MeetingPage&) = delete;

  // Arrives and waits for all others: what they wrote before is visible behind it. Error(kCommunication) naming the rank
  // that has left, that has not come within the deadline, or whose post does not match.
  void Meet(const Post& post);
  // As posted to the last meeting; valid until this rank comes to the next but one.
  const Post& post_of(int rank) const { return SlotOf(rank, epoch_).post; }
  // Of the next meeting: buffers that are used in turn as posts are belong to this half.
  int next_half() const { return static_cast<int>((epoch_ + 1) % 2); }
  // This rank comes to no meeting any more: the others' waits end with an error instead of at the deadline.
  void Leave() noexcept;

 private:
  struct alignas(64) Slot {
    std::atomic<uint32_t> epoch;
    Post post;
  };
  struct alignas(128) Line {
    Slot slots[2];
    alignas(64) std::atomic<uint32_t> num_sleeping;  // waiting for this rank by futex
    std::atomic<uint32_t> has_left;
  };
  static_assert(sizeof(Slot) == 64, "one cache line carries a post and its arrival");

  Slot& SlotOf(int rank, uint32_t epoch) const { return lines_[rank].slots[epoch % 2]; }
  void WaitFor(int rank);
  void Sleep(int rank, std::atomic<uint32_t>& word, int64_t begin_nanoseconds);

  Line* lines_;
  int rank_;
  int num_ranks_;
  uint32_t epoch_ = 0;
  WaitPolicy policy_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_SHARED_MEMORY_MEETING_H_
