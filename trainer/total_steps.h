// Pure. How many steps a whole run has.
#ifndef BREAKEVEN_TRAINER_TOTAL_STEPS_H_
#define BREAKEVEN_TRAINER_TOTAL_STEPS_H_

#include <cstdint>
#include <functional>

namespace breakeven {

// `max_steps`, or where it is 0 what `epochs` take; a fraction of an epoch rounds up to whole steps.
// `steps_of_epoch(e)`: of epoch e, from 0; asked in order, and only where max_steps is 0.
int64_t CountTotalSteps(int64_t max_steps, double epochs,
                        const std::function<int64_t(int64_t)>& steps_of_epoch);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_TOTAL_STEPS_H_
