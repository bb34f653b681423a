// Pure. Where the ranks of one process meet: the shared part of the thread_ back ends. One hub per plane.
#ifndef BREAKEVEN_COMM_THREAD_HUB_H_
#define BREAKEVEN_COMM_THREAD_HUB_H_

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "comm/base/error.h"
#include "comm/device.h"

namespace breakeven {

// Thrown at ranks that wait for one that cannot come: never the cause of a failure, only its echo.
class OtherRankFailed : public Error {
 public:
  explicit OtherRankFailed(const std::string& message)
      : Error(ErrorKind::kCommunication, message) {}
};

class ThreadHub {
 public:
  explicit ThreadHub(int world_size) : posts_(static_cast<size_t>(world_size)) {}
  ThreadHub(const ThreadHub&) = delete;
  ThreadHub& operator=(const ThreadHub&) = delete;

  // What a rank brings to a collective. All but `data` and `bytes` must be equal on all ranks.
  struct Post {
    const char* collective = "";
    void* data = nullptr;
    int64_t count = 0;
    DType dtype = DType::kUInt8;
    ReduceOp op = ReduceOp::kSum;
    int root = 0;
    int64_t bytes = 0;
  };

  int world_size() const { return static_cast<int>(posts_.size()); }

  // COLLECTIVE. Returns every rank's post once all are here; they and what they point at stay until Part().
  // Throws Error(kCommunication) on all ranks when posts do not agree, OtherRankFailed when a rank cannot come.
  std::span<const Post> Meet(int rank, const Post& post);
  // COLLECTIVE. The other half of every Meet: after it each rank may change its memory again.
  void Part();

  // Every wait of every rank throws from now on, also of children. The first reason stays.
  void Poison(const std::string& reason);

  // The same ranks, meeting apart from those here. Number `index` is one hub for all ranks; ask for them in order from 0.
  std::shared_ptr<ThreadHub> Child(size_t index);

 private:
  void Wait(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  std::condition_variable all_here_;
  std::vector<Post> posts_;
  int num_waiting_ = 0;
  uint64_t generation_ = 0;
  bool poisoned_ = false;
  std::string reason_;
  std::vector<std::shared_ptr<ThreadHub>> children_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_THREAD_HUB_H_
