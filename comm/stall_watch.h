// Pure. When a rank counts as stuck. Time is handed in.
#ifndef BREAKEVEN_COMM_STALL_WATCH_H_
#define BREAKEVEN_COMM_STALL_WATCH_H_

#include <array>
#include <atomic>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "comm/heartbeat.h"

namespace breakeven {

// Ages of the lines of a page, by looking at them again and again.
//
// Only time in which the looker itself ran counts, kMostSecondsPerLook at a time: a job that was suspended as a whole, or a
// machine that stood still, accuses nobody when it goes on.
class StallWatch {
 public:
  static constexpr double kMostSecondsPerLook = 0.5;
  // Another rank is given this much longer than oneself, so that it speaks for itself where it can.
  static constexpr double kMargin = 0.5;
  // Whoever has lost a process is ended by the launcher; where that does not happen, by us after this long.
  static constexpr double kSecondsForTheLauncher = 5;

  // `ranks` by line; `own` is the looker's line.
  StallWatch(std::vector<int> ranks, size_t own);

  struct Sight {
    Heartbeat heartbeat;
    bool gone = false;  // its process does not exist any more
  };
  // One look at all lines; `now` in seconds, of any clock that goes forward.
  void Look(double now, std::span<const Sight> lines);

  double seconds_without_progress(size_t line) const { return ages_[line].progress; }
  double seconds_silent(size_t line) const { return ages_[line].silent; }
  double seconds_gone(size_t line) const { return ages_[line].gone; }

  // The first line that has been without progress for longer than limit(phase) (0: no limit), or whose process is gone
  // although it did not end its phases, for longer than the launcher takes.
  std::optional<AlarmCause> Find(const std::function<double(Phase)>& limit) const;

 private:
  struct Ages {
    Heartbeat seen;
    double progress = 0, silent = 0, gone = 0;
  };
  std::vector<int> ranks_;
  size_t own_;
  std::vector<Ages> ages_;
  std::optional<double> last_look_;
};

// The slowest of the last kSteps steps: from one entry into kInput to the next, where nothing else lay between.
class StepPace {
 public:
  static constexpr size_t kSteps = 64;
  static constexpr double kLeastLimit = 10;  // seconds
  void EnterPhase(Phase phase, double now);  // by one thread
  // Of kInput and kStep: scale × the slowest, at least kLeastLimit; 0 (no limit) with a scale of 0 or before four
  // steps. By any thread.
  double Limit(double scale) const;

 private:
  std::array<double, kSteps> seconds_{};
  size_t num_steps_ = 0;
  std::optional<double> step_begin_;
  std::atomic<double> slowest_{0};  // 0: not known yet
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_STALL_WATCH_H_
