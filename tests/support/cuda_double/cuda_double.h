// A double of the CUDA runtime and of NCCL for machines without a GPU: the C functions that comm/ calls, linked in their
// place. Device memory is host memory, a stream is a thread, a rank is a thread of this process, NCCL communicators are
// non-blocking and do their work later, in threads of their own. It is stricter than the real ones where they would crash,
// hang or give garbage: misuse is refused where NCCL refuses it, and is noted as a complaint where it does not.
// What it does not have: speed, peer access, graphs, kernels (cudaLaunchHostFunc stands for them).
#ifndef BREAKEVEN_TESTS_SUPPORT_CUDA_DOUBLE_CUDA_DOUBLE_H_
#define BREAKEVEN_TESTS_SUPPORT_CUDA_DOUBLE_CUDA_DOUBLE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace cuda_double {

struct DeviceSpec {
  std::string pci_bus_id;
  std::string name = "Double";
  size_t memory_bytes = size_t{1} << 30;
};

// Starts afresh with these devices: no faults, no trace, nothing alive. No thread may be inside the double.
void Reset(std::vector<DeviceSpec> devices);
// The same with `count` devices of different PCI bus ids.
void Reset(int count);

// What CUDA_VISIBLE_DEVICES would say to a process, for the calling thread; {} is no device at all.
void SetVisibleToThisThread(const std::vector<int>& devices);

// How a call goes wrong. `device` is the rank's physical device, -1 any.
enum class FaultKind {
  kFail,          // returns `code`
  kNeverArrives,  // is accepted, and this rank never comes to where the others wait for it
  kFailLater,  // is accepted; when it runs, `code` shows up as the asynchronous error and it never ends
  kHang,       // does not return before ReleaseHung()
  kHangUntilAbort,  // of a call on a communicator: does not return before that is aborted, or ReleaseHung()
};
struct Fault {
  std::string call;  // "ncclAllReduce"
  FaultKind kind = FaultKind::kFail;
  int device = -1;
  int number = 1;  // of the calls that match, from 1
  int code = 0;    // ncclResult_t or cudaError_t
};
void Inject(const Fault& fault);
void ReleaseHung();

// What ncclGetVersion says on this device (-1: all).
void SetNcclVersion(int code, int device = -1);
// Whether windows are to be had on this device.
void SetWindowSupport(bool supported, int device = -1);

// One piece of work that a stream did, or a communicator's own thread: where it fills in a window ("ncclCommWindowRegister").
// Ticks count all beginnings and ends, so that their order is the order in time.
struct Span {
  std::string what;
  int device = 0;
  const void* stream = nullptr;  // the handle; null for the default stream, or none
  int priority = 0;
  uint64_t begin = 0;
  uint64_t end = 0;  // 0: not yet
};
std::vector<Span> Trace();

// How often a function was called.
int NumCalls(const std::string& call);

// Misuse that was seen, and what is still alive: streams, events, memory, communicators. Waits a little for what is ending.
std::vector<std::string> Complaints();

}  // namespace cuda_double

#endif  // BREAKEVEN_TESTS_SUPPORT_CUDA_DOUBLE_CUDA_DOUBLE_H_
