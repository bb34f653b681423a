// Pure. A thread that looks again and again whether something has gone wrong.
#ifndef BREAKEVEN_COMM_NCCL_WATCH_H_
#define BREAKEVEN_COMM_NCCL_WATCH_H_

#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "comm/base/log.h"

namespace breakeven {

class NcclWatch {
 public:
  // `look` runs every interval in a thread of its own until it returns false or this object goes.
  NcclWatch(double interval_seconds, std::function<bool()> look)
      : interval_(interval_seconds), look_(std::move(look)), thread_([this] { Run(); }) {}
  ~NcclWatch() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  NcclWatch(const NcclWatch&) = delete;
  NcclWatch& operator=(const NcclWatch&) = delete;

 private:
  void Run() {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, interval_, [this] { return stop_; })) {
      lock.unlock();
      try {
        if (!look_()) return;
      } catch (const std::exception& error) {
        // A device that refuses even to be looked at: the next call of the owner says so too.
        LogError(error.what());
        return;
      }
      lock.lock();
    }
  }

  const std::chrono::duration<double> interval_;
  const std::function<bool()> look_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_NCCL_WATCH_H_
