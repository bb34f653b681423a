#include "comm/nccl_link.h"

#include <nccl.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "comm/device_cuda.h"
#include "comm/nccl_backoff.h"
#include "comm/nccl_check.h"

namespace breakeven {
namespace {

std::string Seconds(double seconds) {
  std::string text = std::to_string(seconds);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text + " s";
}

// ncclCommAbort waits for NCCL's own threads, and has been seen to wait for ever where other ranks do not abort too. So it
// gets a thread, which is left behind if it does not return.
void AbortWithin(ncclComm* comm, Device device, double timeout_seconds, const std::string& place) {
  struct Progress {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
  };
  auto progress = std::make_shared<Progress>();
  std::thread thread([comm, device, progress] {
    try {
      UseCudaDevice(device);  // else NCCL makes a context on the first one, which is another rank's
    } catch (const Error&) {  // a device that has failed; aborting is the remedy
    }
    ncclCommAbort(comm);
    const std::lock_guard lock(progress->mutex);
    progress->done = true;
    progress->changed.notify_all();
  });
  std::unique_lock lock(progress->mutex);
  const bool done = progress->changed.wait_for(lock, std::chrono::duration<double>(timeout_seconds),
                                               [&] { return progress->done; });
  lock.unlock();
  if (done) {
    thread.join();
    return;
  }
  thread.detach();
  LogWarning(place + ": ncclCommAbort has not returned after " + Seconds(timeout_seconds) +
             " and is left behind; the process ends without it");
}

}  // namespace

NcclLink::NcclLink(std::string place, Device device, double abort_timeout_seconds)
    : place_(std::move(place)), device_(device), abort_timeout_seconds_(abort_timeout_seconds) {}

NcclLink::~NcclLink() { Fail("the communicator was dropped without Close"); }

std::string NcclLink::MakeId() {
  ncclUniqueId id;
  CheckNccl(ncclGetUniqueId(&id), "ncclGetUniqueId");
  return std::string(id.internal, sizeof(id.internal));
}

void NcclLink::Open(const std::string& text, int world_size, int rank, double timeout_seconds) {
  ncclUniqueId id;
  BE_CHECK(text.size() == sizeof(id.internal), "an id of " + std::to_string(text.size()));
  std::memcpy(id.internal, text.data(), sizeof(id.internal));
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;  // a rank that never comes must not be waited for without end
  config.commName = "breakeven";
  const auto what = [] { return std::string("ncclCommInitRankConfig"); };
  const auto here = std::source_location::current();
  {
    std::unique_lock lock(mutex_);
    BE_CHECK(comm_ == nullptr && failure_.empty(), "a link is opened once");
    world_size_ = world_size;
    const int result = ncclCommInitRankConfig(&comm_, world_size, id, rank, &config);
    if (result != ncclSuccess && result != ncclInProgress) {
      failure_ = place_ + ": " + DescribeNcclFailure(result, what(), nullptr, here);
      Abort(
          lock);  // NCCL gives no handle, or one that only an abort may touch, for what never began
    }
    ThrowIfUnusable(lock);
  }
  AwaitReady(what, timeout_seconds, here);
}

void NcclLink::Run(const std::function<int(ncclComm*)>& work,
                   const std::function<std::string()>& what, double timeout_seconds,
                   std::source_location place) {
  std::unique_lock lock(mutex_);
  ThrowIfUnusable(lock);
  const int result = work(comm_);
  if (result == ncclSuccess) return;
  if (result != ncclInProgress) {
    const std::string reason = place_ + ": " + DescribeNcclFailure(result, what(), comm_, place);
    lock.unlock();
    Fail(reason);
    throw Error(ErrorKind::kCommunication, reason);
  }
  lock.unlock();
  AwaitReady(what, timeout_seconds, place);
}

void NcclLink::AwaitReady(const std::function<std::string()>& what, double timeout_seconds,
                          std::source_location place) {
  NcclBackoff backoff(timeout_seconds);
  for (;;) {
    std::string reason;
    {
      std::unique_lock lock(mutex_);
      ThrowIfUnusable(lock);
      int state = ncclSuccess;
      const int result = AskForState(&state);
      if (result == ncclSuccess && state == ncclSuccess) return;
      if (result != ncclSuccess || state != ncclInProgress) {
        reason = place_ + ": " +
                 DescribeNcclFailure(result != ncclSuccess ? result : state, what(), comm_, place);
      } else if (backoff.expired()) {
        reason = place_ + ": " + what() + " has not finished after " + Seconds(timeout_seconds) +
                 ": one of the " + std::to_string(world_size_) +
                 " ranks has not come to it, or they do not reach each other. Look for the rank "
                 "whose log stops first; run with NCCL_DEBUG=INFO to see which interface NCCL "
                 "uses (NCCL_SOCKET_IFNAME chooses).";
      }
    }
    if (!reason.empty()) {
      Fail(reason);
      throw Error(ErrorKind::kCommunication, reason);
    }
    backoff.Pause();
  }
}

int NcclLink::AskForState(int* state) {
  ncclResult_t found = ncclSuccess;
  const int result = ncclCommGetAsyncError(comm_, &found);
  *state = found;
  return result;
}

void NcclLink::AwaitAborted(std::unique_lock<std::mutex>& lock) {
  aborted_.wait(lock, [this] { return !aborting_; });  // which has a deadline of its own
}

void NcclLink::ThrowIfUnusable(std::unique_lock<std::mutex>& lock) {
  AwaitAborted(lock);
  if (!failure_.empty()) throw Error(ErrorKind::kCommunication, failure_);
  BE_CHECK(comm_ != nullptr, place_ + ": the communicator is closed");
}

void NcclLink::Check() {
  if (!LooksFailed(/*log=*/false)) return;
  std::unique_lock lock(mutex_);
  ThrowIfUnusable(lock);
}

bool NcclLink::LooksFailed(bool log) noexcept {
  try {
    std::string reason;
    {
      std::unique_lock lock(mutex_);
      AwaitAborted(lock);
      if (comm_ == nullptr) return true;
      int state = ncclSuccess;
      const int result = AskForState(&state);
      if (result == ncclSuccess && (state == ncclSuccess || state == ncclInProgress)) return false;
      reason =
          place_ + ": " +
          DescribeNcclFailure(result != ncclSuccess ? result : state, "work that NCCL had begun",
                              comm_, std::source_location::current());
    }
    if (Fail(reason) && log) LogError(reason);
  } catch (...) {
    // No memory for a message: failed all the same.
  }
  return true;
}

bool NcclLink::Fail(const std::string& reason) noexcept {
  try {
    std::unique_lock lock(mutex_);
    AwaitAborted(lock);
    if (comm_ == nullptr) return false;
    failure_ = reason;
    Abort(lock);
  } catch (...) {
    // No memory or no thread left: the process ends, and the handle with it.
  }
  return true;
}

void NcclLink::Abort(std::unique_lock<std::mutex>& lock) {
  ncclComm* const comm = std::exchange(comm_, nullptr);
  if (comm == nullptr) return;
  aborting_ = true;
  lock.unlock();
  try {
    AbortWithin(comm, device_, abort_timeout_seconds_, place_);
  } catch (const std::exception& error) {
    LogWarning(place_ + ": ncclCommAbort could not be called: " + error.what());
  }
  lock.lock();
  aborting_ = false;
  aborted_.notify_all();
}

void NcclLink::Close(double timeout_seconds) {
  Run([](ncclComm* comm) { return ncclCommFinalize(comm); },
      [] { return std::string("ncclCommFinalize"); }, timeout_seconds);
  std::unique_lock lock(mutex_);
  ThrowIfUnusable(lock);
  const int result = ncclCommDestroy(std::exchange(comm_, nullptr));
  if (result == ncclSuccess || result == ncclInProgress) return;
  failure_ =
      place_ + ": " +
      DescribeNcclFailure(result, "ncclCommDestroy", nullptr, std::source_location::current());
  ThrowIfUnusable(lock);
}

}  // namespace breakeven
