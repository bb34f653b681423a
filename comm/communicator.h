// Pure. The data plane: moves gradients and parameters between ranks.
//
// COLLECTIVE = every rank of the communicator calls it, in the same order, with the same count, dtype and op. All
// functions of one communicator are called from one thread at a time. Which results are equal to which is stated by
// each back end: kSum on float32 gives the same bits on every rank, and the same bits again for the same world size.
#ifndef BREAKEVEN_COMM_COMMUNICATOR_H_
#define BREAKEVEN_COMM_COMMUNICATOR_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <source_location>
#include <string_view>
#include <utility>

#include "comm/collective_call.h"
#include "comm/device.h"

namespace breakeven {

// Elements [begin, begin + count) of a rank's result are there. Pieces begin at multiples of kPieceElements and come in order; a
// result of no elements is one piece of none.
using PieceDone = std::function<void(int64_t begin, int64_t count)>;
inline constexpr int64_t kPieceElements = int64_t{1} << 15;

// COLLECTIVE functions are not virtual, so that what is common to all back ends (observers, faults) stands in one place; a
// back end implements their Do… halves.
class Communicator {
 public:
  Communicator() = default;
  virtual ~Communicator() = default;  // never communicates
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  virtual int rank() const = 0;
  virtual int world_size() const = 0;
  virtual std::string_view name() const = 0;  // "thread", "mpi", "shared_memory", "nccl"

  // `site` is the caller's place, for messages: leave it out.
  // COLLECTIVE. Zeroed, 64-byte aligned memory that this back end reduces without a copy; same num_bytes on all ranks.
  // The block must be released before Close(). Error: kMachine when there is not enough.
  Memory Allocate(int64_t num_bytes, std::source_location site = std::source_location::current());
  // COLLECTIVE. Zeroed, 64-byte aligned memory that all ranks have in common: what one writes the others read, behind a
  // collective that both have been in. Null data on all ranks where they do not reach one memory equally well: on several
  // nodes or NUMA nodes, in mpi_ and nccl_, or where there is too little (thread_: Error(kMachine)). Not for this plane's collectives. Released before
  // Close().
  Memory AllocateShared(int64_t num_bytes,
                        std::source_location site = std::source_location::current());

  // The stream on which collectives run beside the caller's own work; empty on CPU. Order it against other streams with
  // Record and Wait (device_cuda.h): Wait(data.stream(), Record(compute)) before a collective that reads what `compute`
  // wrote, Wait(compute, Record(data.stream())) before `compute` reads the result.
  virtual Stream stream() const { return {}; }

  // Collectives between the two are launched together, which saves launches where several are ready at once: nothing of
  // them is ordered on a stream before EndGroup returns. Not nested. CPU back ends do each when it is called. Where one
  // throws the group stays open and the communicator is of no more use.
  virtual void BeginGroup() {}
  virtual void EndGroup() {}

  // COLLECTIVE. In place. Ordered on `stream` (an empty one means stream()) and not awaited by the host; a CPU back end
  // may be done when it returns. Any count, also 0. Errors of all collectives: kCommunication; on a GPU what happens
  // after the launch is thrown by a later call, Barrier() at the latest.
  void AllReduce(Buffer inout, ReduceOp op, Stream stream,
                 std::source_location site = std::source_location::current());
  // COLLECTIVE. in.count == world_size * out.count; rank r receives the reduction of part r. `out` may be part `rank`
  // of `in` itself (in place) or be apart from it.
  void ReduceScatter(Buffer in, Buffer out, ReduceOp op, Stream stream,
                     std::source_location site = std::source_location::current());
  // COLLECTIVE. out.count == world_size * in.count; part r of out is rank r's in. In place as above.
  void AllGather(Buffer in, Buffer out, Stream stream,
                 std::source_location site = std::source_location::current());
  // COLLECTIVE, but they wait for nobody, so that ranks need not keep step while each has work of its own: a ReduceScatter
  // in place (part rank() of `inout` is the result) and an AllGather in place (it is what this rank gives). This rank does
  // its share in order of start, when all have started the call and it looks in: at a start, Progress, or Complete. `done`,
  // if any, is called then, on this thread, for one piece of the result after the other (while it is in the cache, where that
  // can be); it may not communicate. `inout` is memory of Allocate, the same block and place
  // on all ranks. Other ranks may read it until they have come out of Complete: it is written again, but for this rank's
  // result after `done`, behind the next collective that follows Complete. Between the first start and Complete comes no
  // other collective. A back end that cannot work so does it at once, and starts_wait() is true.
  void StartReduceScatter(Buffer inout, ReduceOp op, PieceDone done,
                          std::source_location site = std::source_location::current());
  void StartAllGather(Buffer inout, std::source_location site = std::source_location::current());
  // Of what was started, does what needs no waiting.
  virtual void Progress() {}
  // COLLECTIVE. Returns when this rank has done its share of everything that was started.
  void Complete(std::source_location site = std::source_location::current());
  virtual bool starts_wait() const { return true; }

  // COLLECTIVE.
  void Broadcast(Buffer inout, int root, Stream stream,
                 std::source_location site = std::source_location::current());
  // COLLECTIVE. The host waits for all ranks, and for every collective that was launched before.
  void Barrier(std::source_location site = std::source_location::current());
  // Logs `reason` (unless empty) and ends the whole job, other ranks included, from any thread; does not return in mpi_
  // back ends.
  virtual void Abort(std::string_view reason) noexcept = 0;
  // COLLECTIVE. Frees windows and communicators. After it only the destructor may be called.
  void Close(std::source_location site = std::source_location::current());

  // COLLECTIVE where the observer communicates. Not while a collective runs.
  void AddObserver(std::unique_ptr<CollectiveObserver> observer) {
    calls_.Add(std::move(observer));
  }

 protected:
  // What a back end does; the contracts are those above. Back ends call each other's collectives only on communicators of
  // their own.
  virtual Memory DoAllocate(int64_t num_bytes) = 0;
  virtual Memory DoAllocateShared(int64_t /*num_bytes*/) { return {}; }
  virtual void DoAllReduce(Buffer inout, ReduceOp op, Stream stream) = 0;
  virtual void DoReduceScatter(Buffer in, Buffer out, ReduceOp op, Stream stream) = 0;
  virtual void DoAllGather(Buffer in, Buffer out, Stream stream) = 0;
  virtual void DoStartReduceScatter(Buffer inout, ReduceOp op, PieceDone done);
  virtual void DoStartAllGather(Buffer inout);
  virtual void DoComplete() {}
  virtual void DoBroadcast(Buffer inout, int root, Stream stream) = 0;
  virtual void DoBarrier() = 0;
  virtual void DoClose() = 0;

 private:
  ObservedCalls calls_{Plane::kData};
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_COMMUNICATOR_H_
