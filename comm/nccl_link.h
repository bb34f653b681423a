// Pure. One NCCL communicator handle and the rules for touching it: never blocking, every wait with a deadline, one thread
// at a time, abortable from any other.
#ifndef BREAKEVEN_COMM_NCCL_LINK_H_
#define BREAKEVEN_COMM_NCCL_LINK_H_

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <source_location>
#include <string>

#include "comm/device.h"

struct ncclComm;

namespace breakeven {

// Who may be inside NCCL with the handle. NCCL wants one thread at a time, and nobody inside when the communicator is
// aborted (user guide, "Thread Safety" and "Fault Tolerance"). No call of NCCL is made with the mutex held: a call that hangs
// would take with it everybody who only wants to end the job. Instead there is one *turn*: who takes it (Enter, LooksFailed)
// may use the handle until it gives the turn back (Leave). The handle itself is in `comm_` while it may be used; whoever
// takes it out, with the mutex held, is the one that frees it, once.
//
// * Call in flight × abort. The abort takes the handle out, so that nobody enters any more, and gives who has the turn half of
//   its deadline to leave: a call of a non-blocking communicator does so at once, and one that polls sees that the handle is
//   gone. Only then it calls ncclCommAbort, as NCCL wants it. A call that is still inside is one that hangs: ncclCommAbort is
//   called under it, for it raises the flag that frees NCCL's kernels and waits, and nothing else does. NCCL does not promise
//   that this is safe (the call may come back into freed memory); the reason has been logged by then, and the process is to
//   end. The other half of the deadline bounds ncclCommAbort. The call that comes back does not touch the handle again:
//   it sees that it is out of comm_, and throws the reason.
// * Destroy × abort. Close takes its turn, then the handle, then destroys: an abort that comes later finds none, returns
//   false and leaves it alone. One that came before has the handle, and Close throws its reason.
// * Two aborts. The first takes the handle and leaves its reason; the second waits until the first is done, which has a
//   deadline, and returns false. A turn that comes to an end by an error aborts in the same breath: between the two nobody
//   else gets in.
// * State query × abort. A query is a call like every other. Who only looks (the watch) asks nothing while somebody has the
//   turn, who polls himself; it only sees whether that one is overdue, and then aborts.
// * Open × abort. There is no handle yet: the abort leaves its reason, and Open aborts what it gets.
class NcclLink {
 public:
  // `place` opens every message: "rank 3 on node02, cuda:1".
  NcclLink(std::string place, Device device, double abort_timeout_seconds);
  ~NcclLink();  // aborts what was not closed: local, and within the abort's deadline
  NcclLink(const NcclLink&) = delete;
  NcclLink& operator=(const NcclLink&) = delete;

  static std::string MakeId();  // on one rank; the others get it by broadcast

  // COLLECTIVE. On the calling thread's device. Error: kCommunication, also when a rank has not come in time.
  void Open(const std::string& id, int world_size, int rank, double timeout_seconds);

  // Runs `work`, which calls NCCL, and waits until NCCL has done what it said it would do later (for a collective: until
  // it is launched, not until it has run). `what` names it in errors and is built only for them. Error: kCommunication
  // when it fails or takes longer; the communicator is then aborted and every later call throws the same. A call of NCCL that
  // does not return at all holds up only its own thread: others find it (LooksFailed) and can abort (Fail).
  void Run(const std::function<int(ncclComm*)>& work, const std::function<std::string()>& what,
           double timeout_seconds, std::source_location place = std::source_location::current());

  // Throws what went wrong, here or in another thread, or has shown up in NCCL since. Cheap.
  void Check();
  // The same for who only looks: true when the communicator is, or is now found to be, unusable. `log`: says so in the log
  // when it is the first to find it.
  bool LooksFailed(bool log) noexcept;

  // The first reason stays: aborts, so that work on the device ends, and returns when that is done, within the abort's
  // deadline whatever other threads do inside NCCL; every later call throws it. From any thread. False when the link had
  // failed or was closed before.
  bool Fail(const std::string& reason) noexcept;

  // After a failure: whether the abort did not come to its end, so that the device may still work on memory.
  bool AbortWasLeftBehind();

  // COLLECTIVE. Finalize and destroy, each with this deadline even where NCCL does not return. Errors as of Run.
  void Close(double timeout_seconds);

 private:
  using Clock = std::chrono::steady_clock;
  using What = std::function<std::string()>;
  using Lock = std::unique_lock<std::mutex>;

  // Of the thread that may be inside NCCL. `what` is that thread's, who stays as long as the turn is its own.
  struct Turn {
    const What* what;
    Clock::time_point since;
    Clock::time_point
        overdue;  // it has a deadline of its own; who is here after that does not come back
  };

  ncclComm* Enter(const What& what, double timeout_seconds);
  void Leave(
      const std::string& reason);  // fails for the reason, if any; throws when the link is unusable
  void TakeTurn(const What& what, double timeout_seconds);
  bool IsOut(ncclComm* comm);

  // With the turn. Empty, or what went wrong.
  std::string AwaitReady(ncclComm* comm, int result, const What& what, double timeout_seconds,
                         std::source_location place);
  std::string FindTrouble(ncclComm* comm);

  // With the mutex held. Who learns that the link is dead may free memory next: it waits until the abort has taken the
  // device's hands off it.
  void AwaitAborted(Lock& lock);
  void ThrowIfUnusable(Lock& lock);
  bool FailWith(Lock& lock, const std::string& reason);
  void Abort(Lock& lock);
  std::string DescribeOverdueTurn() const;

  const std::string place_;
  const Device device_;
  const double abort_timeout_seconds_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Turn> turn_;
  bool opening_ = false;
  bool aborting_ = false;
  bool abort_left_behind_ = false;
  // Where NCCL puts the handle, and may put it once more when the init is done: never what others read, and never gone while
  // NCCL may write it.
  const std::shared_ptr<ncclComm*> handle_ = std::make_shared<ncclComm*>(nullptr);
  ncclComm* comm_ = nullptr;
  int world_size_ = 0;
  std::string failure_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_NCCL_LINK_H_
