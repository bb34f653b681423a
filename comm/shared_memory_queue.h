// Pure. Collectives of one node's ranks that wait for nobody: a rank says what it has ready, and does its own share of each as
// soon as all have said so, at moments of its own.
#ifndef BREAKEVEN_COMM_SHARED_MEMORY_QUEUE_H_
#define BREAKEVEN_COMM_SHARED_MEMORY_QUEUE_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "comm/shared_memory_meeting.h"

namespace breakeven {

// One rank's end of the queue. Every line is written by its owner alone.
class SharedMemoryQueue {
 public:
  // This rank's share of a call, given every rank's post by local rank.
  using Work = std::function<void(const std::vector<Post>& posts)>;

  static int64_t NumBytes(int num_ranks);
  // `memory`: NumBytes() zeroed bytes, aligned to 128, the same for all ranks.
  SharedMemoryQueue(void* memory, int rank, int num_ranks, WaitPolicy policy);
  ~SharedMemoryQueue() { Leave(); }
  SharedMemoryQueue(const SharedMemoryQueue&) = delete;
  SharedMemoryQueue& operator=(const SharedMemoryQueue&) = delete;

  // What this rank wrote before is visible to the others' work. Waits only when the others are kMostAhead calls behind.
  // Errors of all three: kCommunication, naming the rank that has left, has not come within the deadline, or has started
  // something else; and what `work` throws.
  void Start(const Post& post, Work work);
  // Does, in order, what all ranks have started.
  void Progress();
  // Returns when this rank has done its share of everything; others may still be at theirs.
  void Complete();
  // The others' waits for this rank end with an error.
  void Leave() noexcept;

 private:
  static constexpr uint64_t kMostAhead = 256;

  struct alignas(128) Line {
    std::atomic<uint64_t> num_started;
    std::atomic<uint32_t> has_left;
    alignas(64) std::atomic<uint64_t> num_done;
    Post posts[kMostAhead];
  };

  struct Pending {
    Post post;
    Work work;
  };

  // The first rank, in turn from this one, whose counter is not above `number`; this rank if there is none.
  int FirstBehind(std::atomic<uint64_t> Line::*counter, uint64_t number) const;
  void WaitFor(std::atomic<uint64_t> Line::*counter, uint64_t number, const Post& post);
  void DoNext();

  Line* lines_;
  int rank_;
  int num_ranks_;
  WaitPolicy policy_;
  uint64_t num_done_ = 0;
  std::deque<Pending> pending_;
  std::vector<Post> posts_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_SHARED_MEMORY_QUEUE_H_
