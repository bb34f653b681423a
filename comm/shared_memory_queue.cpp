// Pure.
#include "comm/shared_memory_queue.h"

#include <sched.h>

#include <ctime>
#include <string>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/timing.h"

namespace breakeven {
namespace {

// A wait at the end of a step, for milliseconds: to be seen this much too late is nothing.
void Doze() {
  const timespec moment = {0, 50'000};
  ::nanosleep(&moment, nullptr);
}

}  // namespace

int64_t SharedMemoryQueue::NumBytes(int num_ranks) {
  return static_cast<int64_t>(sizeof(Line)) * num_ranks;
}

SharedMemoryQueue::SharedMemoryQueue(void* memory, int rank, int num_ranks, WaitPolicy policy)
    : lines_(static_cast<Line*>(memory)),
      rank_(rank),
      num_ranks_(num_ranks),
      policy_(std::move(policy)),
      posts_(static_cast<size_t>(num_ranks)) {}

void SharedMemoryQueue::Start(const Post& post, Work work) {
  Line& mine = lines_[rank_];
  const uint64_t number = mine.num_started.load(std::memory_order_relaxed);
  // The place of this post holds an older one until all have read it.
  if (number >= kMostAhead) {
    while (num_done_ + kMostAhead <= number) {
      WaitFor(&Line::num_started, num_done_, pending_.front().post);
      DoNext();
    }
    WaitFor(&Line::num_done, number - kMostAhead, post);
  }
  mine.posts[number % kMostAhead] = post;
  pending_.push_back({post, std::move(work)});
  mine.num_started.store(number + 1, std::memory_order_release);
  Progress();
}

int SharedMemoryQueue::FirstBehind(std::atomic<uint64_t> Line::*counter, uint64_t number) const {
  for (int step = 1; step < num_ranks_; ++step) {
    const int other = (rank_ + step) % num_ranks_;
    if ((lines_[other].*counter).load(std::memory_order_acquire) <= number) return other;
  }
  return rank_;
}

void SharedMemoryQueue::Progress() {
  while (!pending_.empty() && FirstBehind(&Line::num_started, num_done_) == rank_) DoNext();
}

void SharedMemoryQueue::DoNext() {
  const Pending next = std::move(pending_.front());
  pending_.pop_front();
  for (int r = 0; r < num_ranks_; ++r) {
    Post& post = posts_[static_cast<size_t>(r)];
    post = lines_[r].posts[num_done_ % kMostAhead];
    if (!post.Matches(next.post)) {
      throw Error(ErrorKind::kCommunication,
                  "the ranks have started different collectives: " + policy_.name_of(rank_) + " " +
                      next.post.Text() + ", " + policy_.name_of(r) + " " + post.Text());
    }
  }
  next.work(posts_);
  lines_[rank_].num_done.store(++num_done_, std::memory_order_release);
}

void SharedMemoryQueue::Complete() {
  while (!pending_.empty()) {
    WaitFor(&Line::num_started, num_done_, pending_.front().post);
    Progress();
  }
}

void SharedMemoryQueue::WaitFor(std::atomic<uint64_t> Line::*counter, uint64_t number,
                                const Post& post) {
  const Stopwatch watch;
  double next_look = 1;
  while (true) {
    const int other = FirstBehind(counter, number);
    if (other == rank_) return;
    const double waited = watch.Seconds();
    if (lines_[other].has_left.load(std::memory_order_acquire) != 0 &&
        (lines_[other].*counter).load(std::memory_order_acquire) <= number) {
      FailLeft(policy_, rank_, other, post);
    }
    if (waited >= policy_.timeout_seconds) FailLate(policy_, rank_, other, post);
    if (waited >= next_look) {
      next_look = waited + 1;
      if (policy_.on_wait) policy_.on_wait(other, waited, post);
    }
    if (waited * 1e9 < static_cast<double>(policy_.spin_nanoseconds)) {
      PauseBetweenLooks();
    } else if (waited * 1e9 <
               static_cast<double>(policy_.spin_nanoseconds + policy_.yield_nanoseconds)) {
      ::sched_yield();
    } else {
      Doze();
    }
  }
}

void SharedMemoryQueue::Leave() noexcept {
  lines_[rank_].has_left.store(1, std::memory_order_release);
}

}  // namespace breakeven
