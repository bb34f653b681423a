// Pure.
#include "comm/thread_hub.h"

#include <cstring>

namespace breakeven {
namespace {

bool Agree(const ThreadHub::Post& a, const ThreadHub::Post& b) {
  return std::strcmp(a.collective, b.collective) == 0 && a.count == b.count && a.dtype == b.dtype &&
         a.op == b.op && a.root == b.root;
}

std::string Describe(const ThreadHub::Post& post) {
  return std::string(post.collective) + "(count " + std::to_string(post.count) + ", dtype " +
         std::to_string(static_cast<int>(post.dtype)) + ", op " +
         std::to_string(static_cast<int>(post.op)) + ", root " + std::to_string(post.root) + ")";
}

}  // namespace

void ThreadHub::Wait(std::unique_lock<std::mutex>& lock) {
  if (poisoned_) throw OtherRankFailed(reason_);
  const uint64_t generation = generation_;
  if (++num_waiting_ == world_size()) {
    num_waiting_ = 0;
    ++generation_;
    all_here_.notify_all();
    return;
  }
  all_here_.wait(lock, [&] { return generation_ != generation || poisoned_; });
  // A rank that left after the last one had come did not spoil this meeting.
  if (generation_ == generation) throw OtherRankFailed(reason_);
}

std::span<const ThreadHub::Post> ThreadHub::Meet(int rank, const Post& post) {
  std::unique_lock lock(mutex_);
  if (poisoned_) throw OtherRankFailed(reason_);
  posts_[static_cast<size_t>(rank)] = post;
  Wait(lock);
  lock.unlock();
  // Nobody writes posts_ before all have passed Part, or once the hub is poisoned: reading needs no
  // lock.
  for (size_t r = 1; r < posts_.size(); ++r) {
    if (Agree(posts_[0], posts_[r])) continue;
    const std::string message = "ranks do not call the same collective: rank 0 " +
                                Describe(posts_[0]) + ", rank " + std::to_string(r) + " " +
                                Describe(posts_[r]);
    Poison(message);
    throw Error(ErrorKind::kCommunication, message);
  }
  return posts_;
}

void ThreadHub::Part() {
  std::unique_lock lock(mutex_);
  Wait(lock);
}

void ThreadHub::Poison(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (poisoned_) return;
  poisoned_ = true;
  reason_ = reason;
  all_here_.notify_all();
  for (const auto& child : children_) child->Poison(reason);
}

std::shared_ptr<ThreadHub> ThreadHub::Child(size_t index) {
  const std::lock_guard lock(mutex_);
  if (index == children_.size()) {
    children_.push_back(std::make_shared<ThreadHub>(world_size()));
    if (poisoned_) children_.back()->Poison(reason_);
  }
  return children_.at(index);
}

}  // namespace breakeven
