// Pure.
#include "comm/stall_watch.h"

#include <algorithm>
#include <utility>

namespace breakeven {

StallWatch::StallWatch(std::vector<int> ranks, size_t own)
    : ranks_(std::move(ranks)), own_(own), ages_(ranks_.size()) {}

void StallWatch::Look(double now, std::span<const Sight> lines) {
  const double passed =
      last_look_.has_value() ? std::clamp(now - *last_look_, 0.0, kMostSecondsPerLook) : 0;
  last_look_ = now;
  for (size_t i = 0; i < ages_.size(); ++i) {
    Ages& ages = ages_[i];
    const Heartbeat& line = lines[i].heartbeat;
    ages.progress = line.beats != ages.seen.beats ? 0 : ages.progress + passed;
    ages.silent = line.ticks != ages.seen.ticks ? 0 : ages.silent + passed;
    ages.gone = lines[i].gone ? ages.gone + passed : 0;
    ages.seen = line;
  }
}

std::optional<AlarmCause> StallWatch::Find(const std::function<double(Phase)>& limit) const {
  for (size_t i = 0; i < ages_.size(); ++i) {
    const Ages& ages = ages_[i];
    const Phase phase = ages.seen.phase;
    AlarmCause cause{AlarmCause::Kind::kDied, ranks_[own_], ranks_[i], ages.gone, 0, phase};
    if (phase != Phase::kEnded && ages.gone > kSecondsForTheLauncher) return cause;
    const double seconds = limit(phase);
    if (seconds <= 0 || ages.progress <= seconds + (i == own_ ? 0 : kMargin)) continue;
    cause.kind = AlarmCause::Kind::kNoProgress;
    cause.seconds = ages.progress;
    cause.limit = seconds;
    return cause;
  }
  return std::nullopt;
}

void StepPace::EnterPhase(Phase phase, double now) {
  if (phase == Phase::kInput) {
    if (step_begin_.has_value()) {
      seconds_[num_steps_++ % kSteps] = now - *step_begin_;
      if (num_steps_ >= 4) slowest_.store(*std::max_element(seconds_.begin(), seconds_.end()));
    }
    step_begin_ = now;
  } else if (phase != Phase::kStep) {
    step_begin_.reset();
  }
}

double StepPace::Limit(double scale) const {
  const double slowest = slowest_.load();
  return scale > 0 && slowest > 0 ? std::max(kLeastLimit, scale * slowest) : 0;
}

}  // namespace breakeven
