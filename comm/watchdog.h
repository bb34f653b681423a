// Pure. Ends a job that hangs, and says which rank holds it up.
//
// A thread in each rank looks ten times a second at what the ranks of its node write into their shared page (heartbeat.h).
// When one goes without progress for longer than its phase allows, or its process is gone, it raises the alarm:
// every rank of the job that still runs logs its phase, its last collectives and its stacks; the lowest rank that
// runs names the culprit and aborts the job with 70. Whatever blocks on the way, each process ends itself with 70 within
// kSecondsToEnd of the alarm.
#ifndef BREAKEVEN_COMM_WATCHDOG_H_
#define BREAKEVEN_COMM_WATCHDOG_H_

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "comm/culprit.h"
#include "comm/heartbeat.h"
#include "comm/stall_watch.h"
#include "comm/watchdog_config.h"
#include "comm/watchdog_courier.h"

namespace breakeven {

// The page that the ranks of a node share, and this rank's line in it.
struct HeartbeatPage {
  AlarmFlag* alarm = nullptr;
  std::vector<HeartbeatLine*> lines;
  std::vector<int> ranks;  // by line, ascending
  size_t own = 0;
  std::shared_ptr<void> memory;  // what the pointers point into
};

// A page in this process's own memory: for ranks that are threads (or one alone). One page for all, `own` set per rank.
HeartbeatPage MakeLocalPage(const std::vector<int>& ranks);

// What a job's watchdogs agree on when they are made.
struct WatchSetup {
  int rank = 0;
  std::vector<std::string> hosts;  // by rank
  std::vector<int> nodes;          // by rank
  HeartbeatPage page;
  std::unique_ptr<HeartbeatLink> link;  // null where there is one node
  std::function<void(int exit_code)> abort_job;
};

class Watchdog {
 public:
  static constexpr double kSecondsToEnd = 8;

  // Starts to watch. Until SetLimits kStartUp and kClosing have the usual limits (WatchdogConfig) and the other phases none,
  // so that a job may begin and end before, or without, anyone knowing its config. Installs the signal handler of stack_trace.h.
  // Made by the thread whose work is watched, which must be the process's main thread or a rank of its own.
  explicit Watchdog(WatchSetup setup);
  ~Watchdog();  // ends its threads; never communicates
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // The same on every rank.
  void SetLimits(const WatchdogConfig& config);
  // Seconds that a rank may be in `phase` without progress, as of now; 0: no limit.
  double Limit(Phase phase) const;

  // Of this rank, by its main thread. `step`: -1 where there is none.
  void EnterPhase(Phase phase, int64_t step);
  void Beat() { line_.Beat(); }  // a sign of progress; nanoseconds
  HeartbeatLine& line() { return line_; }
  // Notes a plane's collectives in this rank's line: for Control::AddObserver and Communicator::AddObserver.
  std::unique_ptr<CollectiveObserver> Observer() { return MakeHeartbeatObserver(line_); }

  // COLLECTIVE. Ends the watch.
  void Close();

 private:
  void Run();
  void Look();
  void NoteDeaths();
  [[noreturn]] void EndJob(AlarmCause cause);
  void Report(const AlarmCause& cause) const;
  std::vector<RankReport> ReportsOfNode() const;
  bool Speaks() const;
  void WaitForReports() const;
  // Fills `all` (by rank) with what the ranks of this node and the other nodes know. Whether it is for this rank to name the
  // culprit: it is the lowest that answers.
  bool GatherReports(const AlarmCause& cause, const std::vector<RankReport>& own,
                     std::vector<RankReport>& all);
  [[noreturn]] void Name(const AlarmCause& cause, const std::vector<RankReport>& reports) const;
  void EndThread();

  WatchSetup setup_;
  HeartbeatLine& line_;
  const CourierPlan plan_;
  StepPace pace_;
  std::array<std::atomic<double>, kNumPhases> limits_{};
  std::atomic<double> learned_scale_{0};

  // Of the watching thread.
  StallWatch stall_;
  std::vector<StallWatch::Sight> sights_;
  // Whether this process sees another's in /proc: where it does not (another PID namespace), absence says nothing.
  enum class Visible { kNotAsked, kYes, kNo };
  std::vector<Visible> visible_;   // by line
  std::vector<bool> death_noted_;  // by line
  double last_round_ = 0;
  double awake_since_ = 0;  // when this process last went on after it had been stopped

  std::unique_ptr<Courier> courier_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  std::thread thread_;
};

// A phase for as long as it lives; then the former one again. A null watchdog is none.
class PhaseScope {
 public:
  PhaseScope(Watchdog* watchdog, Phase phase, int64_t step = -1) : watchdog_(watchdog) {
    if (watchdog_ == nullptr) return;
    former_ = watchdog_->line().phase();
    former_step_ = watchdog_->line().step();
    watchdog_->EnterPhase(phase, step);
  }
  ~PhaseScope() {
    if (watchdog_ != nullptr) watchdog_->EnterPhase(former_, former_step_);
  }
  PhaseScope(const PhaseScope&) = delete;
  PhaseScope& operator=(const PhaseScope&) = delete;

 private:
  Watchdog* watchdog_;
  Phase former_ = Phase::kIdle;
  int64_t former_step_ = -1;
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_WATCHDOG_H_
