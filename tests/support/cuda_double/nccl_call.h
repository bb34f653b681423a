// A call on a communicator of the double, from its entry to its return, and the handles that there are.
#ifndef BREAKEVEN_TESTS_SUPPORT_CUDA_DOUBLE_NCCL_CALL_H_
#define BREAKEVEN_TESTS_SUPPORT_CUDA_DOUBLE_NCCL_CALL_H_

#include <nccl.h>

#include <memory>
#include <optional>
#include <string>

#include "tests/support/cuda_double/cuda_double.h"
#include "tests/support/cuda_double/nccl_comm.h"

namespace cuda_double {

// A handle is never used again for another communicator, so that one that is gone is known.
ncclComm_t MakeHandle(std::shared_ptr<CommState> state);

// Sees to NCCL's rules: no call on a communicator that is gone, one thread at a time, none inside when it is aborted (but
// those that a fault holds: to abort under them is the last resort). What breaks them is a complaint. Hangs as the fault says.
class CommCall {
 public:
  enum class Ends { kNothing, kCommunicator };  // what the call frees

  CommCall(const char* name, ncclComm_t comm, Ends ends = Ends::kNothing);
  ~CommCall();
  CommCall(const CommCall&) = delete;
  CommCall& operator=(const CommCall&) = delete;

  // What the call returns at once, if anything: the code of a kFail, that of a handle that is gone, or that of a hung call's
  // communicator that was aborted.
  const std::optional<ncclResult_t>& refusal() const { return refusal_; }
  const std::optional<Fault>& fault() const { return fault_; }
  // Null only where there is a refusal.
  const std::shared_ptr<CommState>& state() const { return state_; }

 private:
  void Enter(const std::string& name, Ends ends);
  void Hang(FaultKind kind);

  std::shared_ptr<CommState> state_;
  std::optional<Fault> fault_;
  std::optional<ncclResult_t> refusal_;
};

}  // namespace cuda_double

#endif  // BREAKEVEN_TESTS_SUPPORT_CUDA_DOUBLE_NCCL_CALL_H_
