// Pure. The data plane among GPUs, one rank on each, over NCCL.
#ifndef BREAKEVEN_COMM_NCCL_COMMUNICATOR_H_
#define BREAKEVEN_COMM_NCCL_COMMUNICATOR_H_

#include <functional>
#include <memory>
#include <string_view>

#include "comm/communicator.h"
#include "comm/control.h"

namespace breakeven {

// A rank that does not come is waited for so long.
struct NcclOptions {
  double init_timeout_seconds = 300;
  double collective_timeout_seconds = 600;  // from launch to end, on the device
  double close_timeout_seconds = 60;
  double abort_timeout_seconds = 10;    // whatever other threads do in NCCL; it may hang itself
  double watch_interval_seconds = 0.1;  // how often a thread looks for errors that show up later
};

// COLLECTIVE. `control` becomes the communicator's own and is closed with it: with it the id travels, and what must happen
// on all ranks is agreed, without mixing with the caller's control plane. `device` is this rank's (device_binding.h), another
// one than every other rank's. `end_job` is Abort's second half: it ends the whole job.
//
// Results. Integers, kMax and kMin are exact. Sums of floats are folded in an order that NCCL picks by size, topology and
// version: the same bits on every rank, the same again on the same machines with the same NCCL, but not those of the CPU
// back ends, which they equal to rounding ((n - 1) roundings of the sum of magnitudes; bfloat16 may be rounded at every
// addition). kMax and kMin may lose a NaN; kSum does not.
//
// Errors. What a launch refuses is thrown there. What goes wrong later (an error that NCCL reports, a collective that
// does not end in time) is found by a thread of its own, or by the next call; the communicator is aborted, so that the
// device's queues run empty (their results are worthless), and every later call throws kCommunication with the first
// reason. So does a call of NCCL that does not return, but for the thread inside it. A device that refuses a call: kMachine.
std::unique_ptr<Communicator> MakeNcclCommunicator(
    std::unique_ptr<Control> control, Device device, const NcclOptions& options,
    std::function<void(std::string_view reason)> end_job);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_NCCL_COMMUNICATOR_H_
