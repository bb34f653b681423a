// Pure. One NCCL communicator handle and the rules for touching it: never blocking, every wait with a deadline, one thread
// at a time, abortable from any other.
#ifndef BREAKEVEN_COMM_NCCL_LINK_H_
#define BREAKEVEN_COMM_NCCL_LINK_H_

#include <condition_variable>
#include <functional>
#include <mutex>
#include <source_location>
#include <string>

#include "comm/device.h"

struct ncclComm;

namespace breakeven {

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
  // when it fails or takes longer; the communicator is then aborted and every later call throws the same.
  void Run(const std::function<int(ncclComm*)>& work, const std::function<std::string()>& what,
           double timeout_seconds, std::source_location place = std::source_location::current());

  // Throws what went wrong, here or in another thread, or has shown up in NCCL since. Cheap.
  void Check();
  // The same for who only looks: true when the communicator is, or is now found to be, unusable. `log`: says so in the log
  // when it is the first to find it.
  bool LooksFailed(bool log) noexcept;

  // The first reason stays: aborts, so that work on the device ends, and returns when that is done; every later call throws
  // it. From any thread. False when the link had failed or was closed before.
  bool Fail(const std::string& reason) noexcept;

  // COLLECTIVE. Finalize and destroy. Errors as of Run.
  void Close(double timeout_seconds);

 private:
  // All with mutex_ held. Who learns that the link is dead may free memory next: it waits until the abort has taken the
  // device's hands off it.
  int AskForState(int* state);
  void AwaitAborted(std::unique_lock<std::mutex>& lock);
  void ThrowIfUnusable(std::unique_lock<std::mutex>& lock);

  void Abort(std::unique_lock<std::mutex>& lock);
  void AwaitReady(const std::function<std::string()>& what, double timeout_seconds,
                  std::source_location place);

  const std::string place_;
  const Device device_;
  const double abort_timeout_seconds_;
  std::mutex mutex_;
  std::condition_variable aborted_;
  bool aborting_ = false;
  ncclComm* comm_ = nullptr;
  int world_size_ = 0;
  std::string failure_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_NCCL_LINK_H_
