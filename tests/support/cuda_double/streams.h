// Streams as threads that do their work in order, and events between them.
#ifndef BREAKEVEN_TESTS_SUPPORT_CUDA_DOUBLE_STREAMS_H_
#define BREAKEVEN_TESTS_SUPPORT_CUDA_DOUBLE_STREAMS_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace cuda_double {

// A stream's queue and thread. The thread holds it too: a destroyed stream ends when its work is done.
class StreamWork : public std::enable_shared_from_this<StreamWork> {
 public:
  static std::shared_ptr<StreamWork> Make(int device, const void* handle, int priority);

  void Enqueue(std::string what, std::function<void()> work);
  bool idle();
  void Synchronize();
  void Stop();  // no work comes after it; does not wait

  int device() const { return device_; }
  int priority() const { return priority_; }

 private:
  StreamWork(int device, const void* handle, int priority)
      : device_(device), handle_(handle), priority_(priority) {}
  void Run();

  const int device_;
  const void* const handle_;
  const int priority_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<std::string, std::function<void()>>> queue_;
  bool busy_ = false;
  bool stop_ = false;
};

// What a cudaEvent_t stands for: the last time it was recorded, and whether the stream has come there.
class EventMark {
 public:
  uint64_t Record();              // a new time; what was waited for before stays
  void Reach(uint64_t recorded);  // in the stream
  uint64_t recorded();
  bool reached(uint64_t recorded);
  void AwaitReached(uint64_t recorded);
  std::chrono::steady_clock::time_point reached_at();  // the last time

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t recorded_ = 0;
  uint64_t reached_ = 0;
  std::chrono::steady_clock::time_point reached_at_;
};

}  // namespace cuda_double

// CUDA's names for what its handles point at.
struct CUstream_st {
  std::shared_ptr<cuda_double::StreamWork> work;
};
struct CUevent_st {
  std::shared_ptr<cuda_double::EventMark> mark = std::make_shared<cuda_double::EventMark>();
  int device = 0;
};

namespace cuda_double {

// The work of this handle; null: the current device's default stream.
std::shared_ptr<StreamWork> WorkOf(CUstream_st* stream);

}  // namespace cuda_double

#endif  // BREAKEVEN_TESTS_SUPPORT_CUDA_DOUBLE_STREAMS_H_
