// Pure. Calls of NCCL that may block whatever the communicator's mode: ncclCommAbort, ncclCommDestroy, and any that meets a
// driver which hangs.
#ifndef BREAKEVEN_COMM_NCCL_BOUNDED_H_
#define BREAKEVEN_COMM_NCCL_BOUNDED_H_

#include <functional>
#include <optional>
#include <string>

#include "comm/device.h"

namespace breakeven {

// What `call` returns, which gets a thread of its own, on this device. Nothing when it has not returned in time: it and its
// thread are then left behind, so it must own all that it uses. Throws std::system_error where no thread is to be had.
std::optional<int> CallWithin(double timeout_seconds, Device device, std::function<int()> call);

std::string Seconds(double seconds);  // "0.3 s"
// "<what> has not returned after 0.3 s: <where to look>".
std::string NotReturned(const std::string& what, double seconds);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_NCCL_BOUNDED_H_
