// Pure.
#include "trainer/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace breakeven {
namespace {

int64_t ShareOf(int64_t steps, double ratio) {
  return static_cast<int64_t>(std::ceil(static_cast<double>(steps) * ratio));
}

double Ratio(int64_t part, int64_t whole) {
  return static_cast<double>(part) / static_cast<double>(std::max<int64_t>(1, whole));
}

double HalfCosine(double progress) { return 0.5 * (1.0 + std::cos(std::numbers::pi * progress)); }

double Above(double floor, double factor) { return std::max(0.0, factor * (1.0 - floor) + floor); }

}  // namespace

Schedule::Schedule(const ScheduleConfig& config, int64_t total_steps)
    : config_(config),
      total_steps_(total_steps),
      warmup_steps_(config.warmup_steps > 0 ? config.warmup_steps
                                            : ShareOf(total_steps, config.warmup_ratio)),
      decay_steps_(std::clamp<int64_t>(ShareOf(total_steps, config.decay_ratio), 0,
                                       std::max<int64_t>(0, total_steps - warmup_steps_))) {}

double Schedule::Factor(int64_t step) const {
  const double floor = config_.min_ratio;
  const bool stable = config_.kind == "warmup_stable_decay";
  if (step < warmup_steps_) {
    const double factor = Ratio(step, warmup_steps_);
    return stable ? Above(floor, factor) : factor;
  }
  if (config_.kind == "constant") return 1;
  if (stable) {
    const int64_t decay_begin = total_steps_ - decay_steps_;
    if (step < decay_begin) return 1;
    if (step >= total_steps_) return floor;
    return Above(floor, HalfCosine(Ratio(step - decay_begin, decay_steps_)));
  }
  const int64_t span = total_steps_ - warmup_steps_;
  if (config_.kind == "linear")
    return Above(floor, std::max(0.0, Ratio(total_steps_ - step, span)));
  return Above(floor, HalfCosine(Ratio(step - warmup_steps_, span)));
}

}  // namespace breakeven
