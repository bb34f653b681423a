#include "tests/support/cuda_double/nccl_call.h"

#include <chrono>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/support/cuda_double/state.h"

// NCCL's name for what its handles point at: nothing, here.
struct ncclComm {};

namespace cuda_double {
namespace {

struct Handles {
  std::mutex mutex;
  std::vector<std::unique_ptr<ncclComm>> all;
  std::map<ncclComm_t, std::shared_ptr<CommState>> alive;
};
Handles& handles() {
  static auto* const the_handles = new Handles;
  return *the_handles;
}

}  // namespace

ncclComm_t MakeHandle(std::shared_ptr<CommState> state) {
  Handles& h = handles();
  const std::lock_guard lock(h.mutex);
  h.all.push_back(std::make_unique<ncclComm>());
  h.alive[h.all.back().get()] = std::move(state);
  return h.all.back().get();
}

CommCall::CommCall(const char* name, ncclComm_t comm, Ends ends) {
  {
    Handles& h = handles();
    const std::lock_guard lock(h.mutex);
    const auto at = h.alive.find(comm);
    if (at == h.alive.end()) {
      Complain(std::string(name) + " was given a communicator that is gone");
      refusal_ = ncclInvalidArgument;
      return;
    }
    state_ = at->second;
    if (ends == Ends::kCommunicator) h.alive.erase(at);
  }
  Enter(name, ends);
  fault_ = TakeFault(name, state_->device, &state_->num_hung);
  if (!fault_.has_value()) return;
  if (fault_->kind == FaultKind::kHang || fault_->kind == FaultKind::kHangUntilAbort) {
    Hang(fault_->kind);
    fault_.reset();
    if (ends == Ends::kNothing && state_->aborted()) refusal_ = ncclSystemError;
  } else if (fault_->kind == FaultKind::kFail) {
    refusal_ = static_cast<ncclResult_t>(fault_->code);
  }
}

CommCall::~CommCall() {
  if (state_ == nullptr) return;
  const std::lock_guard lock(state_->clique->mutex);
  --state_->num_inside;
}

void CommCall::Enter(const std::string& name, Ends ends) {
  int others;
  {
    const std::lock_guard lock(state_->clique->mutex);
    others = state_->num_inside++;
    if (ends == Ends::kCommunicator) others -= state_->num_hung;
  }
  if (others > 0) Complain(name + " was called while another thread was inside the communicator");
}

void CommCall::Hang(FaultKind kind) {
  if (kind == FaultKind::kHang) {
    AwaitReleaseOfHung();
  } else {
    // Two conditions with a mutex each, so it looks: only what hangs does.
    while (!state_->aborted() && !HungAreReleased()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  --state_->num_hung;
}

}  // namespace cuda_double
