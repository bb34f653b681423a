// Pure. How the host waits for something it may only look at: quick at first, then without burning a core.
#ifndef BREAKEVEN_COMM_NCCL_BACKOFF_H_
#define BREAKEVEN_COMM_NCCL_BACKOFF_H_

#include <algorithm>
#include <chrono>
#include <thread>

namespace breakeven {

class NcclBackoff {
 public:
  explicit NcclBackoff(double timeout_seconds)
      : end_(Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                std::chrono::duration<double>(timeout_seconds))) {}

  bool expired() const { return Clock::now() >= end_; }

  void Pause() {
    if (num_pauses_++ < kYields) return std::this_thread::yield();
    std::this_thread::sleep_for(sleep_);
    sleep_ = std::min(sleep_ * 2, std::chrono::microseconds(1000));
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr int kYields = 100;
  Clock::time_point end_;
  int num_pauses_ = 0;
  std::chrono::microseconds sleep_{20};
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_NCCL_BACKOFF_H_
