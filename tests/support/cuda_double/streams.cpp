#include "tests/support/cuda_double/streams.h"

#include <algorithm>
#include <thread>

#include "tests/support/cuda_double/state.h"

namespace cuda_double {

std::shared_ptr<StreamWork> StreamWork::Make(int device, const void* handle, int priority) {
  std::shared_ptr<StreamWork> made(new StreamWork(device, handle, priority));
  CountAlive("thread", 1);
  std::thread([made] {
    made->Run();
    CountAlive("thread", -1);
  }).detach();
  const std::lock_guard lock(state().mutex);
  state().streams.push_back(made);
  return made;
}

void StreamWork::Enqueue(std::string what, std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  if (stop_) return Complain("work was queued on a destroyed stream");
  queue_.emplace_back(std::move(what), std::move(work));
  changed_.notify_all();
}

void StreamWork::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return !queue_.empty() || stop_; });
    if (queue_.empty()) return;
    auto [what, work] = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    lock.unlock();
    const size_t span = BeginSpan(what, device_, handle_, priority_);
    work();
    work = nullptr;
    EndSpan(span);
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

bool StreamWork::idle() {
  const std::lock_guard lock(mutex_);
  return queue_.empty() && !busy_;
}

void StreamWork::Synchronize() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return queue_.empty() && !busy_; });
}

void StreamWork::Stop() {
  const std::lock_guard lock(mutex_);
  stop_ = true;
  changed_.notify_all();
}

uint64_t EventMark::Record() {
  const std::lock_guard lock(mutex_);
  return ++recorded_;
}

void EventMark::Reach(uint64_t recorded) {
  const std::lock_guard lock(mutex_);
  reached_ = std::max(reached_, recorded);
  reached_at_ = std::chrono::steady_clock::now();
  changed_.notify_all();
}

uint64_t EventMark::recorded() {
  const std::lock_guard lock(mutex_);
  return recorded_;
}

bool EventMark::reached(uint64_t recorded) {
  const std::lock_guard lock(mutex_);
  return reached_ >= recorded;
}

std::chrono::steady_clock::time_point EventMark::reached_at() {
  const std::lock_guard lock(mutex_);
  return reached_at_;
}

void EventMark::AwaitReached(uint64_t recorded) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return reached_ >= recorded; });
}

std::shared_ptr<StreamWork> WorkOf(CUstream_st* stream) {
  if (stream != nullptr) return stream->work;
  const size_t device = static_cast<size_t>(CurrentDevice());
  {
    const std::lock_guard lock(state().mutex);
    if (state().default_streams[device] != nullptr) return state().default_streams[device];
  }
  std::shared_ptr<StreamWork> made = StreamWork::Make(static_cast<int>(device), nullptr, 0);
  std::shared_ptr<StreamWork> first;
  {
    const std::lock_guard lock(state().mutex);
    auto& place = state().default_streams[device];
    if (place == nullptr) place = made;
    first = place;
  }
  if (first != made) made->Stop();  // another thread was quicker
  return first;
}

}  // namespace cuda_double
