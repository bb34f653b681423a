// NCCL's C functions over the double's communicators.
#include <nccl.h>

#include <atomic>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "tests/support/cuda_double/nccl_call.h"
#include "tests/support/cuda_double/nccl_comm.h"
#include "tests/support/cuda_double/nccl_reduce.h"
#include "tests/support/cuda_double/state.h"
#include "tests/support/cuda_double/streams.h"

namespace {

using cuda_double::Clique;
using cuda_double::Collective;
using cuda_double::CommCall;
using cuda_double::CommState;
using cuda_double::Complain;
using cuda_double::EnterCall;
using cuda_double::Fault;
using cuda_double::FaultKind;
using cuda_double::StreamWork;

std::mutex cliques_mutex;
std::map<std::string, std::shared_ptr<Clique>>& cliques() {
  static auto* const all = new std::map<std::string, std::shared_ptr<Clique>>;
  return *all;
}
std::atomic<int> num_ids{0};
thread_local std::string last_error_here;  // of calls without a communicator

// What waits in an open group of this thread.
struct Queued {
  std::shared_ptr<CommState> comm;
  std::shared_ptr<StreamWork> stream;
  Collective collective;
  std::optional<Fault> fault;
};
thread_local int group_depth = 0;
thread_local ncclResult_t group_error = ncclSuccess;  // the last that a call inside has met
thread_local std::vector<Queued> group;

bool Fails(const std::optional<Fault>& fault) {
  return fault.has_value() && fault->kind == FaultKind::kFail;
}
bool StaysAway(const std::optional<Fault>& fault) {
  return fault.has_value() && fault->kind == FaultKind::kNeverArrives;
}
ncclResult_t CodeOf(const std::optional<Fault>& fault) {
  return static_cast<ncclResult_t>(fault->code);
}

// In the communicator's thread: the first launch connects the ranks, which takes all of them; then each goes on its stream.
ncclResult_t Launch(CommState& comm, const std::vector<Queued>& queued) {
  if (!comm.connected) {
    if (const ncclResult_t result = comm.MeetAll("connect"); result != ncclSuccess) return result;
    comm.connected = true;
  }
  for (const Queued& one : queued) {
    uint64_t number;
    {
      const std::lock_guard lock(comm.clique->mutex);
      number = ++comm.num_collectives;
      ++comm.num_launched;
    }
    const bool late = one.fault.has_value() && one.fault->kind == FaultKind::kFailLater;
    const int late_error = late ? one.fault->code : 0;
    one.stream->Enqueue(one.collective.name, [comm = one.comm, collective = one.collective, number,
                                              late_error, arrives = !StaysAway(one.fault)] {
      comm->RunCollective(collective, number, late_error, arrives);
    });
  }
  return ncclSuccess;
}

ncclResult_t EndGroup() {
  std::vector<Queued> queued = std::exchange(group, {});
  std::map<std::shared_ptr<CommState>, std::vector<Queued>> by_comm;
  for (Queued& one : queued) {
    const auto comm = one.comm;
    by_comm[comm].push_back(std::move(one));
  }
  for (auto& [comm, its] : by_comm) {
    comm->Start([state = comm.get(), queue = std::move(its)] { return Launch(*state, queue); });
  }
  return by_comm.empty() ? ncclSuccess : ncclInProgress;
}

// How many elements a buffer has: as the function counts, or so for each rank.
enum class Size { kCount, kCountPerRank };

ncclResult_t Enqueue(ncclComm_t comm, cudaStream_t stream, Size send, Size receive,
                     Collective collective) {
  const CommCall call(collective.name.c_str(), comm);
  if (call.refusal()) return *call.refusal();
  CommState& state = *call.state();
  if (const ncclResult_t ready = state.CheckReady(); ready != ncclSuccess) return ready;
  const int device = state.device;
  const auto bytes_of = [&](Size size) {
    const int num_parts = size == Size::kCountPerRank ? state.clique->num_ranks : 1;
    return collective.count * cuda_double::SizeOf(collective.type) * static_cast<size_t>(num_parts);
  };
  if (!cuda_double::IsOn(device, collective.send, bytes_of(send)) ||
      !cuda_double::IsOn(device, collective.receive, bytes_of(receive))) {
    Complain(collective.name + " was given memory that is not its device's");
    return ncclInvalidArgument;
  }
  auto work = cuda_double::WorkOf(stream);
  if (work->device() != device) {
    Complain(collective.name + " was given a stream of another device");
    return ncclInvalidArgument;
  }
  group.push_back({call.state(), std::move(work), std::move(collective), call.fault()});
  return group_depth > 0 ? ncclSuccess : EndGroup();
}

// What a call inside a group has met is what the group's end returns, as NCCL's ncclGroupError.
ncclResult_t Latch(ncclResult_t result) {
  if (group_depth > 0 && result != ncclSuccess && result != ncclInProgress) group_error = result;
  return result;
}

}  // namespace

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
  const int device = cuda_double::CurrentDevice();
  const auto fault = EnterCall("ncclGetVersion", device);
  if (Fails(fault)) return CodeOf(fault);
  const std::lock_guard lock(cuda_double::state().mutex);
  *version = cuda_double::state().nccl_versions[static_cast<size_t>(device)];
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  const auto fault = EnterCall("ncclGetUniqueId", cuda_double::CurrentDevice());
  if (Fails(fault)) return CodeOf(fault);
  std::memset(id->internal, 0, sizeof(id->internal));
  const int number = ++num_ids;
  std::memcpy(id->internal, &number, sizeof(number));
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int num_ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  const int device = cuda_double::CurrentDevice();
  const auto fault = EnterCall("ncclCommInitRankConfig", device);
  if (Fails(fault)) return CodeOf(fault);
  if (config->blocking != 0 || rank < 0 || rank >= num_ranks) {
    Complain("the double has non-blocking communicators only, of ranks from 0 to n - 1");
    return ncclInvalidArgument;
  }
  std::shared_ptr<Clique> clique;
  {
    const std::lock_guard lock(cliques_mutex);
    auto& place = cliques()[std::string(id.internal, sizeof(id.internal))];
    if (place == nullptr) place = std::make_shared<Clique>(num_ranks);
    clique = place;
  }
  auto state = std::make_shared<CommState>(clique, rank, device);
  {
    const std::lock_guard lock(clique->mutex);
    clique->devices[static_cast<size_t>(rank)] = device;
  }
  *comm = cuda_double::MakeHandle(state);
  const int late_error =
      fault.has_value() && fault->kind == FaultKind::kFailLater ? fault->code : 0;
  return state->Start([raw = state.get(), late_error, away = StaysAway(fault)] {
    if (away) return raw->AwaitAbort();
    if (late_error != 0) return static_cast<ncclResult_t>(late_error);
    const ncclResult_t result = raw->MeetAll("init");
    return result != ncclSuccess ? result : raw->RefuseDoubleDevices();
  });
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  const CommCall call("ncclCommGetAsyncError", comm);
  if (call.refusal()) return *call.refusal();
  *error = call.state()->async_error();
  return ncclSuccess;
}

const char* ncclGetLastError(ncclComm_t comm) {
  last_error_here.clear();
  if (comm != nullptr) {
    const CommCall call("ncclGetLastError", comm);
    if (!call.refusal()) last_error_here = call.state()->last_error();
  }
  return last_error_here.c_str();
}

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclUnhandledCudaError:
      return "unhandled cuda error";
    case ncclSystemError:
      return "unhandled system error";
    case ncclInternalError:
      return "internal error";
    case ncclInvalidArgument:
      return "invalid argument";
    case ncclInvalidUsage:
      return "invalid usage";
    case ncclRemoteError:
      return "remote process exited or there was a network error";
    case ncclInProgress:
      return "NCCL operation in progress";
    default:
      return "unknown result code";
  }
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  const CommCall call("ncclCommFinalize", comm);
  if (call.refusal()) return *call.refusal();
  CommState* const state = call.state().get();
  if (const ncclResult_t ready = state->CheckReady(); ready != ncclSuccess) return ready;
  return state->Start([raw = state, away = StaysAway(call.fault())] {
    if (away) return raw->AwaitAbort();
    raw->AwaitWork();
    const ncclResult_t result = raw->MeetAll("finalize");
    const std::lock_guard lock(raw->clique->mutex);
    raw->finalized = result == ncclSuccess;
    return result;
  });
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  const CommCall call("ncclCommDestroy", comm, CommCall::Ends::kCommunicator);
  if (call.state() == nullptr) return *call.refusal();
  {
    const std::lock_guard lock(call.state()->clique->mutex);
    if (!call.state()->finalized) Complain("a communicator was destroyed without being finalized");
    if (!call.state()->registrations.empty()) Complain("a communicator went with registrations");
  }
  call.state()->StopThread();
  return call.refusal().value_or(ncclSuccess);
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  const CommCall call("ncclCommAbort", comm, CommCall::Ends::kCommunicator);
  if (call.state() == nullptr) return *call.refusal();
  call.state()->Abort();
  call.state()->StopThread();
  return call.refusal().value_or(ncclSuccess);
}

ncclResult_t ncclMemAlloc(void** data, size_t size) {
  const int device = cuda_double::CurrentDevice();
  const auto fault = EnterCall("ncclMemAlloc", device);
  if (Fails(fault)) return CodeOf(fault);
  *data = cuda_double::AllocateOn(device, size, /*of_nccl=*/true);
  return *data == nullptr ? ncclUnhandledCudaError : ncclSuccess;
}

ncclResult_t ncclMemFree(void* data) {
  const auto fault = EnterCall("ncclMemFree", cuda_double::CurrentDevice());
  if (Fails(fault)) return CodeOf(fault);
  return cuda_double::Free(data, /*of_nccl=*/true) ? ncclSuccess : ncclInvalidArgument;
}

ncclResult_t ncclCommRegister(const ncclComm_t comm, void* data, size_t size, void** handle) {
  const CommCall call("ncclCommRegister", comm);
  if (call.refusal()) return *call.refusal();
  CommState& state = *call.state();
  if (const ncclResult_t ready = state.CheckReady(); ready != ncclSuccess) return ready;
  if (!cuda_double::IsOn(state.device, data, size)) return ncclInvalidArgument;
  state.Register(data);
  *handle = data;
  return ncclSuccess;
}

ncclResult_t ncclCommDeregister(const ncclComm_t comm, void* handle) {
  const CommCall call("ncclCommDeregister", comm);
  if (call.refusal()) return *call.refusal();
  call.state()->Deregister(handle);
  return ncclSuccess;
}

ncclResult_t ncclCommWindowRegister(ncclComm_t comm, void* data, size_t size, ncclWindow_t* window,
                                    int) {
  const CommCall call("ncclCommWindowRegister", comm);
  if (call.refusal()) return *call.refusal();
  CommState* const state = call.state().get();
  if (const ncclResult_t ready = state->CheckReady(); ready != ncclSuccess) return ready;
  const bool aligned = reinterpret_cast<uintptr_t>(data) % NCCL_WIN_REQUIRED_ALIGNMENT == 0;
  if (!aligned || !cuda_double::IsOn(state->device, data, size)) return ncclInvalidArgument;
  bool supported;
  {
    const std::lock_guard lock(cuda_double::state().mutex);
    supported = cuda_double::state().window_support[static_cast<size_t>(state->device)];
  }
  // COLLECTIVE: the handle is filled in later.
  return state->Start([raw = state, data, window, supported] {
    if (const ncclResult_t result = raw->MeetAll("window"); result != ncclSuccess) return result;
    if (supported) {
      const size_t span = cuda_double::BeginSpan("ncclCommWindowRegister", raw->device, nullptr, 0);
      raw->Register(data);
      *window = static_cast<ncclWindow_t>(data);
      cuda_double::EndSpan(span);
    }
    return ncclSuccess;
  });
}

ncclResult_t ncclCommWindowDeregister(ncclComm_t comm, ncclWindow_t window) {
  const CommCall call("ncclCommWindowDeregister", comm);
  if (call.refusal()) return *call.refusal();
  call.state()->Deregister(window);
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  const auto fault = EnterCall("ncclGroupStart", cuda_double::CurrentDevice());
  if (Fails(fault)) return CodeOf(fault);
  ++group_depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  const auto fault = EnterCall("ncclGroupEnd", cuda_double::CurrentDevice());
  if (group_depth == 0) return ncclInvalidUsage;
  if (--group_depth > 0) return ncclSuccess;
  const ncclResult_t error = std::exchange(group_error, ncclSuccess);
  if (Fails(fault) || error != ncclSuccess) {
    group.clear();
    return Fails(fault) ? CodeOf(fault) : error;
  }
  return EndGroup();
}

ncclResult_t ncclAllReduce(const void* send, void* receive, size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return Latch(Enqueue(comm, stream, Size::kCount, Size::kCount,
                       {"ncclAllReduce", send, receive, count, type, op, 0}));
}

ncclResult_t ncclReduceScatter(const void* send, void* receive, size_t count, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return Latch(Enqueue(comm, stream, Size::kCountPerRank, Size::kCount,
                       {"ncclReduceScatter", send, receive, count, type, op, 0}));
}

ncclResult_t ncclAllGather(const void* send, void* receive, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  return Latch(Enqueue(comm, stream, Size::kCount, Size::kCountPerRank,
                       {"ncclAllGather", send, receive, count, type, ncclSum, 0}));
}

ncclResult_t ncclBroadcast(const void* send, void* receive, size_t count, ncclDataType_t type,
                           int root, ncclComm_t comm, cudaStream_t stream) {
  return Latch(Enqueue(comm, stream, Size::kCount, Size::kCount,
                       {"ncclBroadcast", send, receive, count, type, ncclSum, root}));
}

}  // extern "C"
