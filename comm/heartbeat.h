// Pure. What a rank is doing, written by itself where the watchdogs of its node can read it: a line in a page that the
// ranks of a node share. Lock free: writing costs a few nanoseconds, and a writer that stops half-way blocks nobody.
#ifndef BREAKEVEN_COMM_HEARTBEAT_H_
#define BREAKEVEN_COMM_HEARTBEAT_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "comm/collective_call.h"

namespace breakeven {

// Where the main thread is. Each but kIdle and kEnded has a deadline (watchdog_config.h).
enum class Phase : uint32_t {
  kIdle,
  kStartUp,
  kInput,
  kStep,
  kCheckpoint,
  kValidation,
  kEval,
  kClosing,
  kEnded
};
constexpr size_t kNumPhases = 9;
std::string_view PhaseName(Phase phase);  // "input", "step", …

constexpr size_t kNumPlanes = 2;
// The last collective of a plane, number begun - 1. begun == done + 1 inside of the call, begun == done behind it: then the
// collective is done too, or has been launched where the call only_launches.
struct PlaneStatus {
  uint64_t begun = 0;  // so many were begun, and so many are done
  uint64_t done = 0;
  int64_t num_bytes = 0;
  uint64_t site_file =
      0;  // of the caller: ProgramOffset (comm/base/code_names.h) of the file's name
  uint32_t site_line = 0;
  Collective collective = Collective::kNone;
  bool only_launches = false;
  bool inside() const { return begun > done; }
};

// A line as it was at one moment. Plain bytes: watchdogs of different nodes send it to each other.
struct Heartbeat {
  uint64_t beats = 0;  // counts every sign of progress
  uint64_t ticks =
      0;  // counts the rounds of the rank's watchdog thread: stands still when the process does
  int64_t step = 0;
  int64_t pid = 0;
  uint64_t start_time = 0;  // of the process: ProcessStartTime
  Phase phase = Phase::kIdle;
  std::array<PlaneStatus, kNumPlanes> planes;
  const PlaneStatus& control() const { return planes[static_cast<size_t>(Plane::kControl)]; }
  const PlaneStatus& data() const { return planes[static_cast<size_t>(Plane::kData)]; }
};

// "data AllReduce, call 31, of 16.0 MiB at optim/gradient_buckets.cpp:100, not finished"; "" before the first. Behind the call
// "finished", or "launched" where the host has gone on and does not know whether the collective is done.
std::string Describe(Plane plane, const PlaneStatus& status);
// "phase step, step 7", without the step where there is none (-1).
std::string DescribePlace(const Heartbeat& heartbeat);

// All zero is the state before anything was written. Each plane's numbers are written by one thread at a time, the rest by any.
class alignas(128) HeartbeatLine {
 public:
  void Start(int64_t pid, uint64_t start_time);
  void EnterPhase(Phase phase, int64_t step);
  void Beat() { beats_.fetch_add(1, std::memory_order_relaxed); }
  void Begin(const CollectiveCall& call);
  void End(Plane plane);
  void Tick() { ticks_.fetch_add(1, std::memory_order_relaxed); }
  Heartbeat Read() const;
  Phase phase() const { return static_cast<Phase>(phase_.load(std::memory_order_relaxed)); }
  int64_t step() const { return step_.load(std::memory_order_relaxed); }

  // Of the report that a rank writes when the alarm is raised: others wait for it before they end the job.
  void SetReported() { reported_.store(1, std::memory_order_release); }
  bool reported() const { return reported_.load(std::memory_order_acquire) != 0; }

 private:
  struct PlaneLine {
    std::atomic<uint64_t> begun, done, site_file;
    std::atomic<int64_t> num_bytes;
    std::atomic<uint32_t> site_line, collective, only_launches;
  };
  std::atomic<uint64_t> beats_, ticks_;
  std::atomic<int64_t> step_, pid_;
  std::atomic<uint64_t> start_time_;
  std::atomic<uint32_t> phase_, reported_;
  std::array<PlaneLine, kNumPlanes> planes_;
  static_assert(std::atomic<uint64_t>::is_always_lock_free);  // processes share it
};

// Notes every collective of a plane in a line, which outlives it. Some 10 ns a call.
std::unique_ptr<CollectiveObserver> MakeHeartbeatObserver(HeartbeatLine& line);

// Why the alarm was raised.
struct AlarmCause {
  enum class Kind : uint32_t { kNoProgress = 1, kDied };
  Kind kind = Kind::kNoProgress;
  int32_t raised_by = -1;  // rank
  int32_t about = -1;      // rank
  double seconds = 0;      // without progress, or dead
  double limit = 0;        // kNoProgress
  Phase phase = Phase::kIdle;
  uint32_t learned = 0;  // 1: the limit was learned from former steps
};

// One alarm for all ranks of a page; the first cause stays.
class alignas(128) AlarmFlag {
 public:
  void Raise(const AlarmCause& cause);
  bool raised() const { return state_.load(std::memory_order_acquire) == kReady; }
  AlarmCause cause() const;  // once raised

 private:
  static constexpr uint32_t kReady = 2;
  std::atomic<uint32_t> state_;  // 0 quiet, 1 being written, 2 ready
  std::atomic<uint32_t> kind_, phase_, learned_;
  std::atomic<int32_t> raised_by_, about_;
  std::atomic<double> seconds_, limit_;
  static_assert(std::atomic<double>::is_always_lock_free);
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_HEARTBEAT_H_
