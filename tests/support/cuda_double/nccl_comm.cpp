#include "tests/support/cuda_double/nccl_comm.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "tests/support/cuda_double/nccl_reduce.h"
#include "tests/support/cuda_double/state.h"

namespace cuda_double {
namespace {

// Long enough for a caller that does not wait to be caught.
constexpr std::chrono::microseconds kJobLatency{30};

std::string Describe(const Collective& c) {
  return c.name + " of " + std::to_string(c.count) + " of type " + std::to_string(c.type) +
         ", operation " + std::to_string(c.op) + ", root " + std::to_string(c.root);
}

}  // namespace

CommState::CommState(std::shared_ptr<Clique> the_clique, int the_rank, int the_device)
    : clique(std::move(the_clique)), rank(the_rank), device(the_device) {
  CountAlive("communicator", 1);
  thread_ = std::thread([this] { Run(); });
}

CommState::~CommState() {
  StopThread();
  CountAlive("communicator", -1);
}

void CommState::StopThread() {
  {
    const std::lock_guard lock(clique->mutex);
    stop_ = true;
    clique->changed.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void CommState::Run() {
  std::unique_lock lock(clique->mutex);
  for (;;) {
    clique->changed.wait(lock, [&] { return stop_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    const auto job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    std::this_thread::sleep_for(kJobLatency);
    const ncclResult_t result = job();
    lock.lock();
    if (state_ == ncclInProgress) state_ = result;
    clique->changed.notify_all();
  }
}

ncclResult_t CommState::Start(std::function<ncclResult_t()> job) {
  const std::lock_guard lock(clique->mutex);
  state_ = ncclInProgress;
  jobs_.push_back(std::move(job));
  clique->changed.notify_all();
  return ncclInProgress;
}

ncclResult_t CommState::CheckReady() {
  const std::lock_guard lock(clique->mutex);
  if (state_ == ncclInProgress) {
    last_error_ = "the communicator was used while something was in progress";
    return ncclInvalidArgument;
  }
  return state_;
}

ncclResult_t CommState::async_error() {
  const std::lock_guard lock(clique->mutex);
  return state_;
}

std::string CommState::last_error() {
  const std::lock_guard lock(clique->mutex);
  return last_error_;
}

void CommState::Fail(int code, const std::string& text) {
  state_ = static_cast<ncclResult_t>(code);
  last_error_ = text;
  clique->changed.notify_all();
}

ncclResult_t CommState::MeetAll(const std::string& kind) {
  std::unique_lock lock(clique->mutex);
  int& arrived = clique->arrivals[{kind, ++num_meetings_[kind]}];
  ++arrived;
  clique->changed.notify_all();
  clique->changed.wait(lock, [&] { return arrived == clique->num_ranks || aborted_; });
  return aborted_ ? ncclSystemError : ncclSuccess;
}

ncclResult_t CommState::AwaitAbort() {
  std::unique_lock lock(clique->mutex);
  clique->changed.wait(lock, [&] { return aborted_; });
  return ncclSystemError;
}

ncclResult_t CommState::RefuseDoubleDevices() {
  const char* allowed = std::getenv("NCCL_MULTI_RANK_GPU_ENABLE");
  if (allowed != nullptr && std::strcmp(allowed, "1") == 0) return ncclSuccess;
  const std::lock_guard lock(clique->mutex);
  for (size_t r = 0; r < clique->devices.size(); ++r) {
    if (static_cast<int>(r) == rank || clique->devices[r] != device) continue;
    Fail(ncclInvalidUsage, "two ranks use one device");
    return ncclInvalidUsage;
  }
  return ncclSuccess;
}

void CommState::Compute(const Collective& mine, const std::vector<Collective>& posts,
                        std::vector<char>* result) const {
  const size_t size = mine.count * SizeOf(mine.type);
  const size_t n = posts.size();
  const auto send_of = [&](size_t r) { return static_cast<const char*>(posts[r].send); };
  std::vector<const void*> inputs(n);
  if (mine.name == "ncclAllReduce") {
    for (size_t r = 0; r < n; ++r) inputs[r] = posts[r].send;
    result->resize(size);
    RingReduce(mine.type, mine.op, inputs, result->data(), mine.count);
  } else if (mine.name == "ncclReduceScatter") {
    for (size_t r = 0; r < n; ++r) inputs[r] = send_of(r) + static_cast<size_t>(rank) * size;
    result->resize(size);
    RingReduce(mine.type, mine.op, inputs, result->data(), mine.count);
  } else if (mine.name == "ncclAllGather") {
    for (size_t r = 0; r < n; ++r) result->insert(result->end(), send_of(r), send_of(r) + size);
  } else {
    const char* root = send_of(static_cast<size_t>(mine.root));
    result->assign(root, root + size);
  }
}

void CommState::RunCollective(const Collective& collective, uint64_t number, int late_error,
                              bool arrives) {
  std::unique_lock lock(clique->mutex);
  ++num_running_;
  const auto end = [&] {
    --num_running_;
    --num_launched;
    clique->changed.notify_all();
  };
  // A kernel that has met an error spins until the abort.
  const auto hang = [&] {
    clique->changed.wait(lock, [&] { return aborted_; });
    end();
  };
  if (late_error != 0) Fail(late_error, "the network went away");
  if (late_error != 0 || !arrives) return hang();
  if (aborted_) return end();

  Clique::Meeting& meeting = clique->meetings[number];
  meeting.posts.resize(static_cast<size_t>(clique->num_ranks));
  meeting.posts[static_cast<size_t>(rank)] = collective;
  const int all = clique->num_ranks;
  if (++meeting.num_posted == all) {
    // From here on each rank reads and writes, also one that has not woken yet: an abort that saw
    // only those awake would let memory go under the others.
    clique->num_active += all;
    clique->changed.notify_all();
  }
  clique->changed.wait(lock, [&] { return meeting.num_posted == all || aborted_; });
  if (meeting.num_posted < all) {
    --meeting.num_posted;  // this rank's memory may go now: nobody reads it any more
    return end();
  }
  for (size_t r = 0; r < meeting.posts.size(); ++r) {
    if (meeting.posts[r] == collective) continue;
    --clique->num_active;
    Fail(ncclInvalidUsage, "ranks " + std::to_string(rank) + " and " + std::to_string(r) +
                               " call different collectives: " + Describe(collective) + " / " +
                               Describe(meeting.posts[r]));
    return hang();
  }

  std::vector<char> result;
  lock.unlock();
  Compute(collective, meeting.posts, &result);
  lock.lock();
  if (++meeting.num_read == all) clique->changed.notify_all();
  clique->changed.wait(lock, [&] { return meeting.num_read == all; });
  lock.unlock();
  if (!result.empty()) std::memcpy(collective.receive, result.data(), result.size());
  lock.lock();
  --clique->num_active;
  if (++meeting.num_left == all) clique->meetings.erase(number);
  end();
}

void CommState::Register(void* data) {
  CountRegistration(data, 1);
  const std::lock_guard lock(clique->mutex);
  registrations.push_back(data);
}

void CommState::Deregister(void* data) {
  CountRegistration(data, -1);
  const std::lock_guard lock(clique->mutex);
  const auto at = std::find(registrations.begin(), registrations.end(), data);
  if (at == registrations.end()) return Complain("memory was deregistered that was not registered");
  registrations.erase(at);
}

void CommState::Abort() {
  std::unique_lock lock(clique->mutex);
  aborted_ = true;
  clique->changed.notify_all();
  // A kernel of this rank that has not woken yet counts as arrived: another rank that comes now would make it go on, in
  // memory that is gone.
  clique->changed.wait(lock, [&] { return clique->num_active == 0 && num_running_ == 0; });
  for (void* data : registrations) CountRegistration(data, -1);  // as NCCL's own clean-up does
  registrations.clear();
}

bool CommState::aborted() {
  const std::lock_guard lock(clique->mutex);
  return aborted_;
}

void CommState::AwaitWork() {
  std::unique_lock lock(clique->mutex);
  clique->changed.wait(lock, [&] { return num_launched == 0 || aborted_; });
}

}  // namespace cuda_double
