// Pure.
#include "comm/shared_memory_meeting.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <ctime>
#include <thread>
#include <utility>

#include "comm/base/error.h"

namespace breakeven {
namespace {

int64_t NowNanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

[[noreturn]] void FailWaiting(const WaitPolicy& policy, int rank, int other, const std::string& how,
                              const Post& post) {
  throw Error(ErrorKind::kCommunication, policy.name_of(rank) + " waits for " +
                                             policy.name_of(other) + ", which " + how + ", in " +
                                             post.Text());
}

uint32_t* Word(std::atomic<uint32_t>& value) {
  static_assert(std::atomic<uint32_t>::is_always_lock_free && sizeof(value) == sizeof(uint32_t));
  return reinterpret_cast<uint32_t*>(&value);
}

// Shared futexes: the waiters are other processes.
void WakeAll(std::atomic<uint32_t>& value) {
  ::syscall(SYS_futex, Word(value), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void SleepWhile(std::atomic<uint32_t>& value, uint32_t seen, int64_t nanoseconds) {
  const timespec limit = {static_cast<time_t>(nanoseconds / 1'000'000'000),
                          static_cast<long>(nanoseconds % 1'000'000'000)};
  ::syscall(SYS_futex, Word(value), FUTEX_WAIT, seen, &limit, nullptr, 0);
}

// Between looks at whether the rank has left.
constexpr int64_t kLongestSleep = 1'000'000'000;
// Looks before the clock is read for the first time: a meeting that all come to at once needs none.
constexpr int kFirstLooks = 64;

}  // namespace

std::string Post::Text() const {
  CollectiveCall text;
  text.sequence = call;
  text.collective = collective;
  text.count = count;
  text.dtype = dtype;
  text.op = op;
  text.root = root;
  return text.Text();
}

void FailLeft(const WaitPolicy& policy, int rank, int other, const Post& post) {
  std::this_thread::sleep_for(std::chrono::seconds(1));
  FailWaiting(policy, rank, other, "has left", post);
}

void FailLate(const WaitPolicy& policy, int rank, int other, const Post& post) {
  FailWaiting(policy, rank, other,
              "has not come within " +
                  std::to_string(static_cast<int64_t>(policy.timeout_seconds)) +
                  " s (comm.timeout_seconds): it is stopped, or busy elsewhere",
              post);
}

void PauseBetweenLooks() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

int64_t MeetingPage::NumBytes(int num_ranks) {
  return static_cast<int64_t>(sizeof(Line)) * num_ranks;
}

MeetingPage::MeetingPage(void* memory, int rank, int num_ranks, WaitPolicy policy)
    : lines_(static_cast<Line*>(memory)),
      rank_(rank),
      num_ranks_(num_ranks),
      policy_(std::move(policy)) {}

void MeetingPage::Meet(const Post& post) {
  ++epoch_;
  Slot& mine = SlotOf(rank_, epoch_);
  mine.post = post;
  // Sequentially consistent, as is the sleeper's count: one of the two sees the other.
  mine.epoch.store(epoch_, std::memory_order_seq_cst);
  if (lines_[rank_].num_sleeping.load(std::memory_order_seq_cst) > 0) WakeAll(mine.epoch);

  for (int step = 1; step < num_ranks_; ++step) {
    const int other = (rank_ + step) % num_ranks_;
    WaitFor(other);
    const Post& theirs = SlotOf(other, epoch_).post;
    if (!theirs.Matches(post)) {
      throw Error(ErrorKind::kCommunication,
                  "the ranks are in different collectives: " + policy_.name_of(rank_) + " in " +
                      post.Text() + ", " + policy_.name_of(other) + " in " + theirs.Text());
    }
  }
}

void MeetingPage::WaitFor(int rank) {
  std::atomic<uint32_t>& word = SlotOf(rank, epoch_).epoch;
  const auto here = [&] { return word.load(std::memory_order_acquire) == epoch_; };
  for (int i = 0; i < kFirstLooks; ++i) {
    if (here()) return;
    PauseBetweenLooks();
  }
  const int64_t begin = NowNanoseconds();
  const int64_t spin_end = begin + policy_.spin_nanoseconds;
  while (NowNanoseconds() < spin_end) {
    for (int i = 0; i < 32; ++i) {
      if (here()) return;
      PauseBetweenLooks();
    }
  }
  const int64_t yield_end = spin_end + policy_.yield_nanoseconds;
  while (NowNanoseconds() < yield_end) {
    if (here()) return;
    ::sched_yield();
  }
  Sleep(rank, word, begin);
}

void MeetingPage::Sleep(int rank, std::atomic<uint32_t>& word, int64_t begin_nanoseconds) {
  // Counted out also when on_wait throws.
  struct Sleeper {
    std::atomic<uint32_t>& count;
    explicit Sleeper(std::atomic<uint32_t>& counter) : count(counter) {
      count.fetch_add(1, std::memory_order_seq_cst);
    }
    ~Sleeper() { count.fetch_sub(1, std::memory_order_seq_cst); }
  } sleeper(lines_[rank].num_sleeping);
  const int64_t patience = static_cast<int64_t>(policy_.timeout_seconds * 1e9);
  int64_t next_look = kLongestSleep;
  while (true) {
    const uint32_t seen = word.load(std::memory_order_seq_cst);
    if (seen == epoch_) return;
    const int64_t waited = NowNanoseconds() - begin_nanoseconds;
    if (lines_[rank].has_left.load(std::memory_order_seq_cst) != 0 &&
        word.load(std::memory_order_seq_cst) != epoch_) {
      FailLeft(policy_, rank_, rank, SlotOf(rank_, epoch_).post);
    }
    if (waited >= patience) FailLate(policy_, rank_, rank, SlotOf(rank_, epoch_).post);
    if (waited >= next_look) {
      next_look = waited + kLongestSleep;
      if (policy_.on_wait) {
        policy_.on_wait(rank, static_cast<double>(waited) * 1e-9, SlotOf(rank_, epoch_).post);
      }
    }
    SleepWhile(word, seen, std::min(patience - waited, kLongestSleep));
  }
}

void MeetingPage::Leave() noexcept {
  Line& mine = lines_[rank_];
  if (mine.has_left.exchange(1, std::memory_order_seq_cst) != 0) return;
  for (Slot& slot : mine.slots) WakeAll(slot.epoch);
}

}  // namespace breakeven
