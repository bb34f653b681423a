// Pure. The data plane: moves gradients and parameters between ranks.
//
// COLLECTIVE = every rank of the communicator calls it, in the same order, with the same count, dtype and op. All
// functions of one communicator are called from one thread at a time. Which results are equal to which is stated by
// each back end: kSum on float32 gives the same bits on every rank, and the same bits again for the same world size.
#ifndef BREAKEVEN_COMM_COMMUNICATOR_H_
#define BREAKEVEN_COMM_COMMUNICATOR_H_

#include <cstdint>
#include <string_view>

#include "comm/device.h"

namespace breakeven {

class Communicator {
 public:
  Communicator() = default;
  virtual ~Communicator() = default;  // never communicates
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  virtual int rank() const = 0;
  virtual int world_size() const = 0;
  virtual std::string_view name() const = 0;  // "thread", "mpi", "shared_memory", "nccl"

  // COLLECTIVE. Zeroed, 64-byte aligned memory that this back end reduces without a copy; same num_bytes on all ranks.
  // The block must be released before Close(). Error: kMachine when there is not enough.
  virtual Memory Allocate(int64_t num_bytes) = 0;

  // The stream on which collectives run beside the caller's own work; empty on CPU. Order it against other streams with
  // Record and Wait (device_cuda.h): Wait(data.stream(), Record(compute)) before a collective that reads what `compute`
  // wrote, Wait(compute, Record(data.stream())) before `compute` reads the result.
  virtual Stream stream() const { return {}; }

  // Collectives between the two are launched together, which saves launches where several are ready at once: nothing of
  // them is ordered on a stream before EndGroup returns. Not nested. CPU back ends do each when it is called.
  virtual void BeginGroup() {}
  virtual void EndGroup() {}

  // COLLECTIVE. In place. Ordered on `stream` (an empty one means stream()) and not awaited by the host; a CPU back end
  // may be done when it returns. Any count, also 0. Errors of all collectives: kCommunication; on a GPU what happens
  // after the launch is thrown by a later call, Barrier() at the latest.
  virtual void AllReduce(Buffer inout, ReduceOp op, Stream stream) = 0;
  // COLLECTIVE. in.count == world_size * out.count; rank r receives the reduction of part r. `out` may be part `rank`
  // of `in` itself (in place) or be apart from it.
  virtual void ReduceScatter(Buffer in, Buffer out, ReduceOp op, Stream stream) = 0;
  // COLLECTIVE. out.count == world_size * in.count; part r of out is rank r's in. In place as above.
  virtual void AllGather(Buffer in, Buffer out, Stream stream) = 0;
  // COLLECTIVE.
  virtual void Broadcast(Buffer inout, int root, Stream stream) = 0;
  // COLLECTIVE. The host waits for all ranks, and for every collective that was launched before.
  virtual void Barrier() = 0;
  // Logs `reason` (unless empty) and ends the whole job, other ranks included, from any thread; does not return in mpi_
  // back ends.
  virtual void Abort(std::string_view reason) noexcept = 0;
  // COLLECTIVE. Frees windows and communicators. After it only the destructor may be called.
  virtual void Close() = 0;
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_COMMUNICATOR_H_
