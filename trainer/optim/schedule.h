// Pure. The learning rate as a function of the step.
#ifndef BREAKEVEN_TRAINER_OPTIM_SCHEDULE_H_
#define BREAKEVEN_TRAINER_OPTIM_SCHEDULE_H_

#include <cstdint>

#include "trainer/training_config.h"

namespace breakeven {

// Steps count from 0. Values equal those of transformers' get_scheduler (constant_with_warmup,
// linear, cosine and cosine_with_min_lr, warmup_stable_decay with linear warm-up and cosine decay),
// so the first step of a warm-up has learning rate 0 (warmup_stable_decay: min_ratio). linear with
// min_ratio, which transformers lacks, goes from 1 to min_ratio on a straight line. A step that is
// skipped counts.
class Schedule {
 public:
  // warmup_ratio and decay_ratio become steps by rounding up, as transformers' Trainer does.
  Schedule(const ScheduleConfig& config, int64_t total_steps);

  // Multiplies the configured learning rate; in [0, 1].
  double Factor(int64_t step) const;
  int64_t warmup_steps() const { return warmup_steps_; }

 private:
  ScheduleConfig config_;
  int64_t total_steps_;
  int64_t warmup_steps_;
  int64_t decay_steps_;  // warmup_stable_decay only
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_OPTIM_SCHEDULE_H_
