// Pure. The control plane: small host values, blocking, on a communicator of its own, so that it never mixes with the
// data plane's order.
#ifndef BREAKEVEN_COMM_CONTROL_H_
#define BREAKEVEN_COMM_CONTROL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "comm/base/error.h"
#include "comm/collective_call.h"
#include "comm/device.h"

namespace breakeven {

class Control {
 public:
  Control() = default;
  virtual ~Control() = default;  // never communicates
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  virtual int rank() const = 0;
  virtual int world_size() const = 0;
  virtual int local_rank() const = 0;  // among the ranks of this node, in order of rank
  virtual int local_size() const = 0;
  virtual int node_rank() const = 0;  // nodes numbered by their lowest rank
  virtual int num_nodes() const = 0;

  // `site` is the caller's place, for messages: leave it out.
  // COLLECTIVE. Element-wise, in place.
  void AllReduce(std::span<int64_t> values, ReduceOp op,
                 std::source_location site = std::source_location::current());
  // COLLECTIVE. Summed in order of rank: the same bits for the same world size.
  void AllReduce(std::span<double> values, ReduceOp op,
                 std::source_location site = std::source_location::current());
  // COLLECTIVE. The root's text reaches all; any size.
  void Broadcast(std::string& text, int root,
                 std::source_location site = std::source_location::current());
  // COLLECTIVE. Every rank's text, by rank; sizes may differ.
  std::vector<std::string> AllGather(std::string_view text,
                                     std::source_location site = std::source_location::current());
  // COLLECTIVE.
  void Barrier(std::source_location site = std::source_location::current());
  // Logs `reason` as an error (unless empty) and ends the whole job with this exit code (1 … 255; a shell sees 8 bits);
  // from any thread, any state.
  [[noreturn]] void Abort(int exit_code, std::string_view reason) noexcept;
  // COLLECTIVE. The same ranks on a communicator of their own, for who must not mix with this one's callers.
  virtual std::unique_ptr<Control> Duplicate() = 0;
  // COLLECTIVE.
  void Close(std::source_location site = std::source_location::current());

  int64_t AllReduce(int64_t value, ReduceOp op,
                    std::source_location site = std::source_location::current()) {
    AllReduce(std::span<int64_t>(&value, 1), op, site);
    return value;
  }

  // COLLECTIVE where the observer communicates (on another plane). Not while a collective runs.
  void AddObserver(std::unique_ptr<CollectiveObserver> observer) {
    calls_.Add(std::move(observer));
  }

 protected:
  // What a back end does; the contracts are those above.
  virtual void DoAllReduce(std::span<int64_t> values, ReduceOp op) = 0;
  virtual void DoAllReduce(std::span<double> values, ReduceOp op) = 0;
  virtual void DoBroadcast(std::string& text, int root) = 0;
  virtual std::vector<std::string> DoAllGather(std::string_view text) = 0;
  virtual void DoBarrier() = 0;
  [[noreturn]] virtual void DoAbort(int exit_code, std::string_view reason) noexcept = 0;
  virtual void DoClose() = 0;

 private:
  ObservedCalls calls_{Plane::kControl};
};

// COLLECTIVE. Runs `work` on every rank (or, with `root_only`, on rank 0) and makes a failure of any rank a failure of all:
// every rank throws the Error of the lowest failing rank, its message prefixed with that rank when others succeeded.
// So one rank that cannot open a file ends the job instead of hanging it. `work` itself calls no collectives. The error
// has on_all_ranks() set, and so has CheckSameOnAllRanks': main then prints it once.
void RunTogether(Control& control, bool root_only, const std::function<void()>& work,
                 std::source_location site = std::source_location::current());

// COLLECTIVE. Throws Error(kind) on every rank when `value` is not the same on all, naming the first two ranks that
// differ, `what` it is and both values.
void CheckSameOnAllRanks(Control& control, ErrorKind kind, std::string_view what,
                         std::string_view value,
                         std::source_location site = std::source_location::current());

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_CONTROL_H_
