#include "comm/nccl_link.h"

#include <nccl.h>

#include <atomic>
#include <cstring>
#include <exception>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "comm/nccl_backoff.h"
#include "comm/nccl_bounded.h"
#include "comm/nccl_check.h"

namespace breakeven {
namespace {

constexpr int kNotReturned = -1;  // in place of an ncclResult_t: the call is left behind

std::chrono::steady_clock::duration ToDuration(double seconds) {
  return std::chrono::duration_cast<std::chrono::steady_clock::duration>(
      std::chrono::duration<double>(seconds));
}

// Empty, or what it threw: a turn must not be left without being given back.
template <typename Work>
std::string Try(const Work& work) {
  try {
    return work();
  } catch (const std::exception& error) {
    return error.what();
  }
}

const std::function<std::string()> kQuestion = [] { return std::string("ncclCommGetAsyncError"); };

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
  const What what = [] { return std::string("ncclCommInitRankConfig"); };
  const auto here = std::source_location::current();
  {
    const Lock lock(mutex_);
    BE_CHECK(comm_ == nullptr && failure_.empty() && !opening_, "a link is opened once");
    world_size_ = world_size;
    opening_ = true;
    TakeTurn(what, timeout_seconds);
  }
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;  // a rank that never comes must not be waited for without end
  config.commName = "breakeven";
  const int result = ncclCommInitRankConfig(handle_.get(), world_size, id, rank, &config);
  ncclComm* const comm = std::atomic_ref(*handle_).load();
  std::string reason;
  if (result != ncclSuccess && result != ncclInProgress) {
    reason = place_ + ": " + DescribeNcclFailure(result, what(), nullptr, here);
  }
  {
    Lock lock(mutex_);
    opening_ = false;
    comm_ = comm;
    if (failure_.empty()) failure_ = reason;
    if (!failure_.empty()) {
      // NCCL gives no handle, or one that only an abort may touch, for what never began.
      turn_.reset();
      Abort(lock);
    }
    ThrowIfUnusable(lock);
  }
  Leave(Try([&] { return AwaitReady(comm, result, what, timeout_seconds, here); }));
}

void NcclLink::Run(const std::function<int(ncclComm*)>& work, const What& what,
                   double timeout_seconds, std::source_location place) {
  ncclComm* const comm = Enter(what, timeout_seconds);
  Leave(Try([&] { return AwaitReady(comm, work(comm), what, timeout_seconds, place); }));
}

ncclComm* NcclLink::Enter(const What& what, double timeout_seconds) {
  Lock lock(mutex_);
  const auto is_free = [this] { return !aborting_ && (comm_ == nullptr || !turn_.has_value()); };
  if (!changed_.wait_for(lock, ToDuration(timeout_seconds), is_free)) {
    AwaitAborted(lock);
    if (comm_ != nullptr && turn_.has_value()) {
      FailWith(lock, place_ + ": " + what() + " has waited " + Seconds(timeout_seconds) + " for " +
                         (*turn_->what)() + " in another thread, which has not returned");
    }
  }
  ThrowIfUnusable(lock);
  TakeTurn(what, timeout_seconds);
  return comm_;
}

void NcclLink::TakeTurn(const What& what, double timeout_seconds) {
  const Clock::time_point now = Clock::now();
  turn_ = Turn{&what, now, now + ToDuration(timeout_seconds + abort_timeout_seconds_ / 2)};
}

void NcclLink::Leave(const std::string& reason) {
  Lock lock(mutex_);
  turn_.reset();
  changed_.notify_all();
  if (!reason.empty()) FailWith(lock, reason);
  ThrowIfUnusable(lock);
}

bool NcclLink::IsOut(ncclComm* comm) {
  const Lock lock(mutex_);
  return comm_ != comm;
}

std::string NcclLink::AwaitReady(ncclComm* comm, int result, const What& what,
                                 double timeout_seconds, std::source_location place) {
  NcclBackoff backoff(timeout_seconds);
  while (result == ncclInProgress && !IsOut(comm)) {
    ncclResult_t state = ncclSuccess;
    const int asked = ncclCommGetAsyncError(comm, &state);
    result = asked != ncclSuccess ? asked : state;
    if (result != ncclInProgress) break;
    if (backoff.expired()) {
      return place_ + ": " + what() + " has not finished after " + Seconds(timeout_seconds) +
             ": one of the " + std::to_string(world_size_) +
             " ranks has not come to it, or they do not reach each other. Look for the rank "
             "whose log stops first; run with NCCL_DEBUG=INFO to see which interface NCCL "
             "uses (NCCL_SOCKET_IFNAME chooses).";
    }
    backoff.Pause();
  }
  if (result == ncclSuccess || IsOut(comm)) return "";
  if (result == kNotReturned) return place_ + ": " + NotReturned(what(), timeout_seconds);
  return place_ + ": " + DescribeNcclFailure(result, what(), comm, place);
}

std::string NcclLink::FindTrouble(ncclComm* comm) {
  ncclResult_t state = ncclSuccess;
  const int asked = ncclCommGetAsyncError(comm, &state);
  const int result = asked != ncclSuccess ? asked : state;
  if (result == ncclSuccess || result == ncclInProgress || IsOut(comm)) return "";
  return place_ + ": " +
         DescribeNcclFailure(result, "work that NCCL had begun", comm,
                             std::source_location::current());
}

std::string NcclLink::DescribeOverdueTurn() const {
  const Clock::time_point now = Clock::now();
  if (now < turn_->overdue) return "";
  return place_ + ": " +
         NotReturned((*turn_->what)(), std::chrono::duration<double>(now - turn_->since).count());
}

void NcclLink::AwaitAborted(Lock& lock) {
  changed_.wait(lock, [this] { return !aborting_; });  // which has a deadline of its own
}

void NcclLink::ThrowIfUnusable(Lock& lock) {
  AwaitAborted(lock);
  if (!failure_.empty()) throw Error(ErrorKind::kCommunication, failure_);
  BE_CHECK(comm_ != nullptr, place_ + ": the communicator is closed");
}

void NcclLink::Check() {
  if (!LooksFailed(/*log=*/false)) return;
  Lock lock(mutex_);
  ThrowIfUnusable(lock);
}

bool NcclLink::LooksFailed(bool log) noexcept {
  try {
    std::string reason;
    Lock lock(mutex_);
    AwaitAborted(lock);
    if (comm_ == nullptr) return !opening_;
    if (turn_.has_value()) {
      reason = DescribeOverdueTurn();
    } else {
      ncclComm* const comm = comm_;
      TakeTurn(kQuestion, abort_timeout_seconds_);
      lock.unlock();
      reason = Try([&] { return FindTrouble(comm); });
      lock.lock();
      turn_.reset();
      changed_.notify_all();
    }
    const bool is_first = !reason.empty() && FailWith(lock, reason);
    AwaitAborted(lock);
    const bool failed = comm_ == nullptr;
    lock.unlock();
    if (is_first && log) LogError(reason);
    return failed;
  } catch (...) {
    return true;  // no memory for a message: failed all the same
  }
}

bool NcclLink::Fail(const std::string& reason) noexcept {
  try {
    Lock lock(mutex_);
    return FailWith(lock, reason);
  } catch (...) {
    return true;  // no memory left: the process ends, and the handle with it
  }
}

bool NcclLink::FailWith(Lock& lock, const std::string& reason) {
  AwaitAborted(lock);
  if (comm_ == nullptr) {
    if (!opening_ || !failure_.empty()) return false;
    failure_ = reason;
    return true;
  }
  failure_ = reason;
  Abort(lock);
  return true;
}

void NcclLink::Abort(Lock& lock) {
  ncclComm* const comm = std::exchange(comm_, nullptr);
  if (comm == nullptr) return;
  aborting_ = true;
  bool is_done = false;
  changed_.notify_all();  // who waits for a turn waits for the abort now
  try {
    const Clock::time_point end = Clock::now() + ToDuration(abort_timeout_seconds_);
    const auto is_left = [this] { return !turn_.has_value(); };
    std::string warning;
    if (!changed_.wait_for(lock, ToDuration(abort_timeout_seconds_ / 2), is_left)) {
      warning = place_ + ": aborts under " + (*turn_->what)() +
                ", which has not returned, because: " + failure_;
    }
    lock.unlock();
    if (!warning.empty()) LogWarning(warning);
    const auto abort = [comm, slot = handle_] { return static_cast<int>(ncclCommAbort(comm)); };
    const double rest_seconds = std::chrono::duration<double>(end - Clock::now()).count();
    is_done = CallWithin(rest_seconds, device_, abort).has_value();
    if (!is_done) {
      LogWarning(place_ + ": ncclCommAbort has not returned, " + Seconds(abort_timeout_seconds_) +
                 " after the failure, and is left behind; the process ends without it");
    }
  } catch (const std::exception& error) {
    LogWarning(place_ + ": ncclCommAbort could not be called: " + error.what());
  }
  if (!lock.owns_lock()) lock.lock();
  aborting_ = false;
  abort_left_behind_ = !is_done;
  changed_.notify_all();
}

bool NcclLink::AbortWasLeftBehind() {
  Lock lock(mutex_);
  AwaitAborted(lock);
  return abort_left_behind_;
}

void NcclLink::Close(double timeout_seconds) {
  // Both in threads of their own: nobody watches any more who could find that they hang.
  Run(
      [&](ncclComm* comm) {
        const auto finalize = [comm] { return static_cast<int>(ncclCommFinalize(comm)); };
        return CallWithin(timeout_seconds, device_, finalize).value_or(kNotReturned);
      },
      [] { return std::string("ncclCommFinalize"); }, timeout_seconds);
  const What what = [] { return std::string("ncclCommDestroy"); };
  ncclComm* const comm = Enter(what, timeout_seconds);
  {
    Lock lock(mutex_);
    turn_.reset();
    changed_.notify_all();
    if (comm_ != comm) ThrowIfUnusable(lock);  // an abort was quicker
    comm_ = nullptr;
  }
  const auto destroy = [comm] { return static_cast<int>(ncclCommDestroy(comm)); };
  const int result = CallWithin(timeout_seconds, device_, destroy).value_or(kNotReturned);
  if (result == ncclSuccess || result == ncclInProgress) return;
  const std::string reason =
      result == kNotReturned
          ? NotReturned(what(), timeout_seconds)
          : DescribeNcclFailure(result, what(), nullptr, std::source_location::current());
  Lock lock(mutex_);
  failure_ = place_ + ": " + reason;
  ThrowIfUnusable(lock);
}

}  // namespace breakeven
