// Pure. The collectives that were launched and have not been seen to end, oldest first.
#ifndef BREAKEVEN_COMM_NCCL_LAUNCHES_H_
#define BREAKEVEN_COMM_NCCL_LAUNCHES_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/device.h"

struct CUevent_st;  // CUDA's name for what a cudaEvent_t points at

namespace breakeven {

// What a message says of a collective.
struct NcclLaunch {
  const char* function = "";
  CollectiveCall call;
};
// "ncclAllReduce (AllReduce, call 17: sum of 1000 float32, at optim/gradient_buckets.cpp:100)"
std::string Describe(const NcclLaunch& launch);

// Thread-safe. Of one device.
class NcclLaunches {
 public:
  explicit NcclLaunches(Device device) : device_(device) {}
  ~NcclLaunches();
  NcclLaunches(const NcclLaunches&) = delete;
  NcclLaunches& operator=(const NcclLaunches&) = delete;

  // After the launch itself: the collective has run when all that is on `stream` now has. Error: kMachine.
  void Add(const NcclLaunch& launch, Stream stream);

  // Forgets those that have ended. Empty, or what is wrong: the device refuses, or the oldest is older than the timeout.
  std::string FindOverdue(double timeout_seconds);
  bool empty();

 private:
  using Clock = std::chrono::steady_clock;
  struct Pending {
    NcclLaunch launch;
    CUevent_st* event = nullptr;
    Clock::time_point since;
  };

  CUevent_st* TakeFree();  // or null

  const Device device_;
  std::mutex mutex_;
  std::deque<Pending> pending_;
  std::vector<CUevent_st*> free_;  // an event is made once and used again
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_NCCL_LAUNCHES_H_
