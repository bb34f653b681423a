#include "comm/nccl_bounded.h"

#include <chrono>
#include <cmath>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "comm/base/error.h"
#include "comm/device_cuda.h"

namespace breakeven {

std::string Seconds(double seconds) {
  std::string text = std::to_string(std::round(seconds * 1000) / 1000);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text + " s";
}

std::string NotReturned(const std::string& what, double seconds) {
  return what + " has not returned after " + Seconds(seconds) +
         ": NCCL or the driver hangs, see the kernel log (dmesg, Xid messages); NCCL_DEBUG=INFO "
         "shows how far it came";
}

std::optional<int> CallWithin(double timeout_seconds, Device device, std::function<int()> call) {
  struct Progress {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<int> result;
  };
  auto progress = std::make_shared<Progress>();
  std::thread thread([device, progress, call = std::move(call)] {
    try {
      UseCudaDevice(device);  // else NCCL makes a context on the first one, which is another rank's
    } catch (const Error&) {  // a device that has failed: the call says so itself, or aborts
    }
    const int result = call();
    const std::lock_guard lock(progress->mutex);
    progress->result = result;
    progress->changed.notify_all();
  });
  std::unique_lock lock(progress->mutex);
  progress->changed.wait_for(lock, std::chrono::duration<double>(timeout_seconds),
                             [&] { return progress->result.has_value(); });
  const std::optional<int> result = progress->result;
  lock.unlock();
  if (result.has_value()) {
    thread.join();
  } else {
    thread.detach();
  }
  return result;
}

}  // namespace breakeven
